// From the driver's void** to a typed call: the signature says how many arguments there are and how large each is.
template <int... I> struct EmuIndices {};
template <int N, int... I> struct EmuCount : EmuCount<N - 1, N - 1, I...> {};
template <int... I> struct EmuCount<0, I...> { typedef EmuIndices<I...> type; };

template <class F> struct EmuSignature;
template <class... A> struct EmuSignature<void (*)(A...)> {
    static constexpr int count = sizeof...(A);
    static constexpr int sizes[sizeof...(A) + 1] = {(int)sizeof(A)..., 0};
    template <void (*KERNEL)(A...), int... I> EMU_UNCHECKED static __forceinline__ void with(void** p, EmuIndices<I...>) { KERNEL(*(A*)p[I]...); }
    template <void (*KERNEL)(A...)> EMU_UNCHECKED static __forceinline__ void call(void** p) { with<KERNEL>(p, typename EmuCount<sizeof...(A)>::type()); }
};

struct EmuKernel { void (*run)(void**); int arguments; const int* sizes; int max_threads; };
