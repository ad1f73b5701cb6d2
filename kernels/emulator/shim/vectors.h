// The built-in vector types and their makers.
#define EMU_VECTORS(T, name, pair, quad)                                                       \
    struct name##1 { T x; };                                                                   \
    struct __align__(pair) name##2 { T x, y; };                                                \
    struct name##3 { T x, y, z; };                                                             \
    struct __align__(quad) name##4 { T x, y, z, w; };                                          \
    static inline name##2 make_##name##2(T x, T y) { return {x, y}; }                          \
    static inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }                  \
    static inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
#define EMU_VECTORS_BUT_3(T, name, pair, quad)                                                 \
    struct name##1 { T x; };                                                                   \
    struct __align__(pair) name##2 { T x, y; };                                                \
    struct __align__(quad) name##4 { T x, y, z, w; };                                          \
    static inline name##2 make_##name##2(T x, T y) { return {x, y}; }                          \
    static inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMU_VECTORS(float, float, 8, 16)
EMU_VECTORS(int, int, 8, 16)
EMU_VECTORS_BUT_3(unsigned, uint, 8, 16)
EMU_VECTORS(char, char, 2, 4)
EMU_VECTORS(unsigned char, uchar, 2, 4)
EMU_VECTORS(short, short, 4, 8)
EMU_VECTORS(unsigned short, ushort, 4, 8)
EMU_VECTORS(double, double, 16, 16)
EMU_VECTORS(long long, longlong, 16, 16)
EMU_VECTORS(unsigned long long, ulonglong, 16, 16)
static inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
template <class T> static inline T __ldg(const T* p) { return *p; }
template <class T> static inline T __ldcs(const T* p) { return *p; }
template <class T> static inline T __ldcg(const T* p) { return *p; }
template <class T> static inline void __stcs(T* p, T v) { *p = v; }
template <class T> static inline void __stcg(T* p, T v) { *p = v; }
