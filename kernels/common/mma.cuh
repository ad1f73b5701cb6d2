// mma.cuh: the tensor-core product of a warp, D += A · B, 16×8 from 16×16 and 16×8 (K = 16), T = bf16 or half, sums in float;
// and ldmatrix, which fills its operands from shared memory.
//   layout   lane l holds, with g = l / 4 and t = l % 4 (PTX ISA, m16n8k16):
//            A[4]  (g, 2t), (g+8, 2t), (g, 2t+8), (g+8, 2t+8), each register a pair of neighbouring columns
//            B[2]  (2t, g), (2t+8, g), each a pair of neighbouring rows;  B is K×N
//            D[4]  (g, 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1)
//   ldmatrix lanes 8q … 8q+7 give the addresses of the eight 16-byte rows of 8×8 matrix q; register q of lane l then holds
//            (l/4, 2(l%4)) and its right neighbour, or of the transposed matrix with _trans
//   care     the whole warp must call; rows are 16-byte aligned. Tensor cores add in their own order: compare with tolerance.
#pragma once
#include "smem.cuh"

#if defined(PLIP_EMULATOR)

struct EmuMma { float* d; const u32 *a, *b; };

template <class T> EMU_UNCHECKED void emu_mma(void** lanes, unsigned) {
    float A[16][16], B[8][16];
    for (int l = 0; l < 32; l++) {
        auto* p = (EmuMma*)lanes[l];
        int g = l >> 2, t = (l & 3) * 2;
        for (int i = 0; i < 4; i++) {
            A[g + 8 * (i & 1)][t + 8 * (i >> 1)] = unpack_low<T>(p->a[i]);
            A[g + 8 * (i & 1)][t + 8 * (i >> 1) + 1] = unpack_high<T>(p->a[i]);
        }
        for (int i = 0; i < 2; i++) {
            B[g][t + 8 * i] = unpack_low<T>(p->b[i]);
            B[g][t + 8 * i + 1] = unpack_high<T>(p->b[i]);
        }
    }
    for (int l = 0; l < 32; l++) {
        float* d = ((EmuMma*)lanes[l])->d;
        int g = l >> 2, t = (l & 3) * 2;
        for (int i = 0; i < 4; i++) {
            const float *x = A[g + 8 * (i >> 1)], *y = B[t + (i & 1)];
            float s = 0.f;
            for (int k = 0; k < 16; k++) s += x[k] * y[k];
            d[i] += s;
        }
    }
}

template <class T> __device__ __forceinline__ void mma_16x8x16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2], EMU_LINE) {
    EmuMma p{d, a, b};
    emu_warp(0xffffffffu, emu_mma<T>, &p, line);
}

struct EmuMatrix { const u16* row; u32* to; };

template <int COUNT, bool TRANS> EMU_UNCHECKED void emu_ldmatrix(void** lanes, unsigned) {
    for (int q = 0; q < COUNT; q++)
        for (int l = 0; l < 32; l++) {
            auto** rows = (EmuMatrix**)lanes + q * 8;
            int g = l >> 2, t = (l & 3) * 2;
            u16 low = TRANS ? rows[t]->row[g] : rows[g]->row[t], high = TRANS ? rows[t + 1]->row[g] : rows[g]->row[t + 1];
            ((EmuMatrix*)lanes[l])->to[q] = low | (u32)high << 16;
        }
}

template <int COUNT, bool TRANS> __device__ __forceinline__ void emu_ldmatrix_call(u32 (&to)[COUNT], const void* row, int line) {
    if (emu_lane() < COUNT * 8) emu_read_shared(row, 16);
    EmuMatrix p{(const u16*)row, to};
    emu_warp(0xffffffffu, emu_ldmatrix<COUNT, TRANS>, &p, line);
}

#define PLIP_LDMATRIX(COUNT, SUFFIX, TRANS)                                                                        \
    __device__ __forceinline__ void ldmatrix_x##COUNT##SUFFIX(u32 (&to)[COUNT], const void* row, EMU_LINE) {       \
        emu_ldmatrix_call<COUNT, TRANS>(to, row, line);                                                            \
    }
PLIP_LDMATRIX(1, , false)
PLIP_LDMATRIX(2, , false)
PLIP_LDMATRIX(4, , false)
PLIP_LDMATRIX(1, _trans, true)
PLIP_LDMATRIX(2, _trans, true)
PLIP_LDMATRIX(4, _trans, true)
#undef PLIP_LDMATRIX

#else

template <class T> __device__ void mma_16x8x16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]);

#define PLIP_MMA(T, NAME)                                                                                              \
    template <> __device__ __forceinline__ void mma_16x8x16<T>(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {  \
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." NAME "." NAME ".f32 "                                    \
                     "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"                                           \
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                  \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                              \
    }
PLIP_MMA(bf16, "bf16")
PLIP_MMA(half, "f16")
#undef PLIP_MMA

#define PLIP_LDMATRIX(SUFFIX, OP)                                                                                      \
    __device__ __forceinline__ void ldmatrix_x1##SUFFIX(u32 (&to)[1], const void* row) {                               \
        asm volatile("ldmatrix.sync.aligned.m8n8.x1" OP ".shared.b16 {%0}, [%1];"                                      \
                     : "=r"(to[0]) : "r"(shared_address(row)) : "memory");                                             \
    }                                                                                                                  \
    __device__ __forceinline__ void ldmatrix_x2##SUFFIX(u32 (&to)[2], const void* row) {                               \
        asm volatile("ldmatrix.sync.aligned.m8n8.x2" OP ".shared.b16 {%0,%1}, [%2];"                                   \
                     : "=r"(to[0]), "=r"(to[1]) : "r"(shared_address(row)) : "memory");                                \
    }                                                                                                                  \
    __device__ __forceinline__ void ldmatrix_x4##SUFFIX(u32 (&to)[4], const void* row) {                               \
        asm volatile("ldmatrix.sync.aligned.m8n8.x4" OP ".shared.b16 {%0,%1,%2,%3}, [%4];"                             \
                     : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(shared_address(row)) : "memory");      \
    }
PLIP_LDMATRIX(, "")
PLIP_LDMATRIX(_trans, ".trans")
#undef PLIP_LDMATRIX

#endif
