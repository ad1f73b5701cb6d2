// Mathematics of the device, by libm: correctly rounded where the device is, within its last bits elsewhere
// (__expf, rsqrtf and their kin are more exact here than on a GPU: compare with tolerance).
extern "C" {
#define EMU_MATH1(F) double F(double); float F##f(float);
EMU_MATH1(exp) EMU_MATH1(exp2) EMU_MATH1(expm1) EMU_MATH1(log) EMU_MATH1(log2) EMU_MATH1(log10) EMU_MATH1(log1p)
EMU_MATH1(sqrt) EMU_MATH1(cbrt) EMU_MATH1(sin) EMU_MATH1(cos) EMU_MATH1(tan) EMU_MATH1(asin) EMU_MATH1(acos) EMU_MATH1(atan)
EMU_MATH1(sinh) EMU_MATH1(cosh) EMU_MATH1(tanh) EMU_MATH1(erf) EMU_MATH1(erfc) EMU_MATH1(tgamma) EMU_MATH1(lgamma)
EMU_MATH1(fabs) EMU_MATH1(floor) EMU_MATH1(ceil) EMU_MATH1(trunc) EMU_MATH1(rint) EMU_MATH1(round) EMU_MATH1(nearbyint)
#define EMU_MATH2(F) double F(double, double); float F##f(float, float);
EMU_MATH2(pow) EMU_MATH2(atan2) EMU_MATH2(fmod) EMU_MATH2(fmax) EMU_MATH2(fmin) EMU_MATH2(copysign) EMU_MATH2(hypot)
double fma(double, double, double); float fmaf(float, float, float);
double ldexp(double, int); float ldexpf(float, int);
void sincos(double, double*, double*); void sincosf(float, float*, float*);
long lrintf(float); long lroundf(float);
int abs(int);
}
#define EMU_OVERLOAD(F) static inline float F(float x) { return F##f(x); }
EMU_OVERLOAD(exp) EMU_OVERLOAD(exp2) EMU_OVERLOAD(log) EMU_OVERLOAD(log2) EMU_OVERLOAD(sqrt) EMU_OVERLOAD(sin) EMU_OVERLOAD(cos)
EMU_OVERLOAD(tanh) EMU_OVERLOAD(erf) EMU_OVERLOAD(fabs) EMU_OVERLOAD(floor) EMU_OVERLOAD(ceil) EMU_OVERLOAD(log1p)
static inline float pow(float x, float y) { return powf(x, y); }
static inline float fma(float x, float y, float z) { return fmaf(x, y, z); }
static inline float abs(float x) { return fabsf(x); }
static inline double abs(double x) { return fabs(x); }
static inline long long abs(long long x) { return x < 0 ? -x : x; }

#define EMU_MIN_MAX(T)                                             \
    static inline T min(T a, T b) { return a < b ? a : b; }        \
    static inline T max(T a, T b) { return a > b ? a : b; }
EMU_MIN_MAX(int) EMU_MIN_MAX(unsigned) EMU_MIN_MAX(long) EMU_MIN_MAX(unsigned long) EMU_MIN_MAX(long long) EMU_MIN_MAX(unsigned long long)
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }
static inline unsigned min(unsigned a, int b) { return min(a, (unsigned)b); }
static inline unsigned min(int a, unsigned b) { return min((unsigned)a, b); }
static inline unsigned max(unsigned a, int b) { return max(a, (unsigned)b); }
static inline unsigned max(int a, unsigned b) { return max((unsigned)a, b); }

template <class To, class From> static __forceinline__ To emu_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "the same bits");
    To to;
    __builtin_memcpy(&to, &from, sizeof to);
    return to;
}
static inline int __float_as_int(float x) { return emu_bits<int>(x); }
static inline unsigned __float_as_uint(float x) { return emu_bits<unsigned>(x); }
static inline float __int_as_float(int x) { return emu_bits<float>(x); }
static inline float __uint_as_float(unsigned x) { return emu_bits<float>(x); }
static inline long long __double_as_longlong(double x) { return emu_bits<long long>(x); }
static inline double __longlong_as_double(long long x) { return emu_bits<double>(x); }

static inline bool isnan(float x) { return x != x; }
static inline bool isnan(double x) { return x != x; }
static inline bool isinf(float x) { return fabsf(x) == __builtin_inff(); }
static inline bool isfinite(float x) { return fabsf(x) < __builtin_inff(); }

static inline float __expf(float x) { return expf(x); }
static inline float __exp2f(float x) { return exp2f(x); }
static inline float __logf(float x) { return logf(x); }
static inline float __log2f(float x) { return log2f(x); }
static inline float __sinf(float x) { return sinf(x); }
static inline float __cosf(float x) { return cosf(x); }
static inline float __powf(float x, float y) { return powf(x, y); }
static inline void __sincosf(float x, float* s, float* c) { sincosf(x, s, c); }
static inline float __tanhf(float x) { return tanhf(x); }
static inline float rsqrtf(float x) { return 1.f / __builtin_sqrtf(x); }
static inline double rsqrt(double x) { return 1. / __builtin_sqrt(x); }
static inline float __frsqrt_rn(float x) { return rsqrtf(x); }
static inline float __fsqrt_rn(float x) { return __builtin_sqrtf(x); }
static inline float __frcp_rn(float x) { return 1.f / x; }
static inline float __fdividef(float x, float y) { return x / y; }
static inline float __fdiv_rn(float x, float y) { return x / y; }
static inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
static inline float __fadd_rn(float x, float y) { volatile float s = x + y; return s; }   // not contracted with a product
static inline float __fsub_rn(float x, float y) { volatile float s = x - y; return s; }
static inline float __fmul_rn(float x, float y) { volatile float p = x * y; return p; }
static inline float __saturatef(float x) { return x > 0.f ? (x < 1.f ? x : 1.f) : 0.f; }

static inline int __float2int_rn(float x) { return (int)lrintf(x); }
static inline int __float2int_rz(float x) { return (int)x; }
static inline int __float2int_rd(float x) { return (int)floorf(x); }
static inline int __float2int_ru(float x) { return (int)ceilf(x); }
static inline unsigned __float2uint_rn(float x) { return (unsigned)lrintf(x); }
static inline float __int2float_rn(int x) { return (float)x; }
static inline float __uint2float_rn(unsigned x) { return (float)x; }

static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
static inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }
static inline int __mulhi(int a, int b) { return (int)((long long)a * b >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) { return (unsigned long long)((unsigned __int128)a * b >> 64); }
static inline unsigned __brev(unsigned x) {
    unsigned r = 0;
    for (int i = 0; i < 32; i++) r |= (x >> i & 1) << (31 - i);
    return r;
}
static inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned n) { return n & 31 ? high << (n & 31) | low >> (32 - (n & 31)) : high; }
static inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned n) { return n & 31 ? low >> (n & 31) | high << (32 - (n & 31)) : low; }
