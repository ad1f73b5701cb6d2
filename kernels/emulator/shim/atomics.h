// Atomics: one entry in the library performs them all, so that check mode sees them as atomic.
enum { EMU_ADD, EMU_ADD_FLOAT, EMU_MIN, EMU_MIN_SIGNED, EMU_MAX, EMU_MAX_SIGNED, EMU_EXCHANGE, EMU_COMPARE, EMU_AND, EMU_OR, EMU_EXCLUSIVE_OR };

template <class T> static __forceinline__ T emu_atomic_as(T* p, int kind, T value, T compare = T()) {
    unsigned long long v = 0, c = 0;
    __builtin_memcpy(&v, &value, sizeof(T));
    __builtin_memcpy(&c, &compare, sizeof(T));
    unsigned long long old = emu_atomic((void*)p, kind, sizeof(T), v, c);
    T result;
    __builtin_memcpy(&result, &old, sizeof(T));
    return result;
}
#define EMU_ATOMICS(T, MINIMUM, MAXIMUM)                                                                  \
    static inline T atomicAdd(T* p, T v) { return emu_atomic_as(p, EMU_ADD, v); }                         \
    static inline T atomicMin(T* p, T v) { return emu_atomic_as(p, MINIMUM, v); }                         \
    static inline T atomicMax(T* p, T v) { return emu_atomic_as(p, MAXIMUM, v); }                         \
    static inline T atomicExch(T* p, T v) { return emu_atomic_as(p, EMU_EXCHANGE, v); }                   \
    static inline T atomicCAS(T* p, T compare, T v) { return emu_atomic_as(p, EMU_COMPARE, v, compare); } \
    static inline T atomicAnd(T* p, T v) { return emu_atomic_as(p, EMU_AND, v); }                         \
    static inline T atomicOr(T* p, T v) { return emu_atomic_as(p, EMU_OR, v); }                           \
    static inline T atomicXor(T* p, T v) { return emu_atomic_as(p, EMU_EXCLUSIVE_OR, v); }
EMU_ATOMICS(int, EMU_MIN_SIGNED, EMU_MAX_SIGNED)
EMU_ATOMICS(unsigned, EMU_MIN, EMU_MAX)
EMU_ATOMICS(unsigned long long, EMU_MIN, EMU_MAX)
static inline int atomicSub(int* p, int v) { return atomicAdd(p, -v); }
static inline unsigned atomicSub(unsigned* p, unsigned v) { return atomicAdd(p, 0u - v); }
static inline float atomicAdd(float* p, float v) { return emu_atomic_as(p, EMU_ADD_FLOAT, v); }
static inline double atomicAdd(double* p, double v) { return emu_atomic_as(p, EMU_ADD_FLOAT, v); }
static inline float atomicExch(float* p, float v) { return emu_atomic_as(p, EMU_EXCHANGE, v); }
