// Warp collectives. Each lane hands its argument to emu_warp and waits; the last lane to arrive performs the operation for all.
#define EMU_LINE int line = __builtin_LINE()
#define EMU_EACH_LANE(mask) for (unsigned rest = (mask), l = 0; rest && (l = __builtin_ctz(rest), true); rest &= rest - 1)

template <class T> struct EmuShuffle { T value, result; int select, width; };
enum { EMU_INDEX, EMU_XOR, EMU_DOWN, EMU_UP };

template <class T, int HOW> EMU_UNCHECKED static void emu_shuffle_op(void** lanes, unsigned mask) {
    EMU_EACH_LANE(mask) {
        auto* me = (EmuShuffle<T>*)lanes[l];
        int width = me->width, base = l & ~(width - 1), from;
        if (HOW == EMU_INDEX) from = base + (me->select & (width - 1));
        if (HOW == EMU_XOR) { from = l ^ me->select; if (from >= base + width) from = l; }
        if (HOW == EMU_DOWN) { from = l + me->select; if (from >= base + width) from = l; }
        if (HOW == EMU_UP) { from = l - me->select; if (from < base) from = l; }
        if (mask >> (from & 31) & 1) me->result = ((EmuShuffle<T>*)lanes[from & 31])->value;
        else emu_fail(719, "a shuffle reads a lane that is not in its mask, or has left");
    }
}
template <class T, int HOW> static __forceinline__ T emu_shuffle(unsigned mask, T value, int select, int width, int line) {
    EmuShuffle<T> a{value, value, select, width};
    emu_warp(mask, emu_shuffle_op<T, HOW>, &a, line);
    return a.result;
}
template <class T> static __forceinline__ T __shfl_sync(unsigned m, T v, int s, int w = 32, EMU_LINE) { return emu_shuffle<T, EMU_INDEX>(m, v, s, w, line); }
template <class T> static __forceinline__ T __shfl_xor_sync(unsigned m, T v, int s, int w = 32, EMU_LINE) { return emu_shuffle<T, EMU_XOR>(m, v, s, w, line); }
template <class T> static __forceinline__ T __shfl_down_sync(unsigned m, T v, unsigned s, int w = 32, EMU_LINE) { return emu_shuffle<T, EMU_DOWN>(m, v, s, w, line); }
template <class T> static __forceinline__ T __shfl_up_sync(unsigned m, T v, unsigned s, int w = 32, EMU_LINE) { return emu_shuffle<T, EMU_UP>(m, v, s, w, line); }

struct EmuVote { unsigned value, result; };

#define EMU_VOTE_OP(NAME, INITIAL, COMBINE)                                                    \
    EMU_UNCHECKED static void NAME(void** lanes, unsigned mask) {                                     \
        unsigned r = INITIAL;                                                                  \
        EMU_EACH_LANE(mask) { unsigned v = ((EmuVote*)lanes[l])->value; COMBINE; }             \
        EMU_EACH_LANE(mask) ((EmuVote*)lanes[l])->result = r;                                  \
    }
EMU_VOTE_OP(emu_ballot_op, 0, r |= (v ? 1u : 0u) << l)
EMU_VOTE_OP(emu_add_op, 0, r += v)
EMU_VOTE_OP(emu_min_op, 0xffffffffu, r = v < r ? v : r)
EMU_VOTE_OP(emu_max_op, 0, r = v > r ? v : r)
EMU_VOTE_OP(emu_or_op, 0, r |= v)
EMU_VOTE_OP(emu_and_op, 0xffffffffu, r &= v)

static __forceinline__ unsigned emu_vote(unsigned mask, EmuWarpOp op, unsigned value, int line) {
    EmuVote v{value, 0};
    emu_warp(mask, op, &v, line);
    return v.result;
}
static inline unsigned __ballot_sync(unsigned m, int p, EMU_LINE) { return emu_vote(m, emu_ballot_op, p != 0, line); }
static inline int __any_sync(unsigned m, int p, EMU_LINE) { return emu_vote(m, emu_ballot_op, p != 0, line) != 0; }
static inline int __all_sync(unsigned m, int p, EMU_LINE) { return emu_vote(m, emu_ballot_op, p == 0, line) == 0; }
static inline unsigned __reduce_add_sync(unsigned m, unsigned v, EMU_LINE) { return emu_vote(m, emu_add_op, v, line); }
static inline int __reduce_add_sync(unsigned m, int v, EMU_LINE) { return (int)emu_vote(m, emu_add_op, (unsigned)v, line); }
static inline unsigned __reduce_min_sync(unsigned m, unsigned v, EMU_LINE) { return emu_vote(m, emu_min_op, v, line); }
static inline unsigned __reduce_max_sync(unsigned m, unsigned v, EMU_LINE) { return emu_vote(m, emu_max_op, v, line); }
// Signed order is unsigned order with the sign bit turned.
static inline int __reduce_min_sync(unsigned m, int v, EMU_LINE) { return (int)(emu_vote(m, emu_min_op, (unsigned)v ^ 0x80000000u, line) ^ 0x80000000u); }
static inline int __reduce_max_sync(unsigned m, int v, EMU_LINE) { return (int)(emu_vote(m, emu_max_op, (unsigned)v ^ 0x80000000u, line) ^ 0x80000000u); }
static inline unsigned __reduce_or_sync(unsigned m, unsigned v, EMU_LINE) { return emu_vote(m, emu_or_op, v, line); }
static inline unsigned __reduce_and_sync(unsigned m, unsigned v, EMU_LINE) { return emu_vote(m, emu_and_op, v, line); }
static inline void __syncwarp(unsigned mask = 0xffffffffu, EMU_LINE) {
    int nothing;
    emu_warp(mask, emu_no_operation, &nothing, line);
}
