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

template <class Scalar> EMU_UNCHECKED void emu_mma(void** lanes, unsigned) {
    float EmuA[16][16], EmuB[8][16];
    for (int l = 0; l < 32; l++) {
        auto* p = (EmuMma*)lanes[l];
        int g = l >> 2, t = (l & 3) * 2;
        for (int i = 0; i < 4; i++) {
            EmuA[g + 8 * (i & 1)][t + 8 * (i >> 1)] = unpack_low<Scalar>(p->a[i]);
            EmuA[g + 8 * (i & 1)][t + 8 * (i >> 1) + 1] = unpack_high<Scalar>(p->a[i]);
        }
        for (int i = 0; i < 2; i++) {
            EmuB[g][t + 8 * i] = unpack_low<Scalar>(p->b[i]);
            EmuB[g][t + 8 * i + 1] = unpack_high<Scalar>(p->b[i]);
        }
    }
    for (int l = 0; l < 32; l++) {
        float* d = ((EmuMma*)lanes[l])->d;
        int g = l >> 2, t = (l & 3) * 2;
        for (int i = 0; i < 4; i++) {
            const float *x = EmuA[g + 8 * (i >> 1)], *y = EmuB[t + (i & 1)];
            float s = 0.f;
            for (int k = 0; k < 16; k++) s += x[k] * y[k];
            d[i] += s;
        }
    }
}

template <class Scalar> __device__ __forceinline__ void mma_16x8x16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2], EMU_LINE) {
    EmuMma p{d, a, b};
    emu_warp(0xffffffffu, emu_mma<Scalar>, &p, line);
}

struct EmuMatrix { const u16* row; u32* to; };

template <int Count, bool Trans> EMU_UNCHECKED void emu_ldmatrix(void** lanes, unsigned) {
    for (int q = 0; q < Count; q++)
        for (int l = 0; l < 32; l++) {
            auto** rows = (EmuMatrix**)lanes + q * 8;
            int g = l >> 2, t = (l & 3) * 2;
            u16 low = Trans ? rows[t]->row[g] : rows[g]->row[t], high = Trans ? rows[t + 1]->row[g] : rows[g]->row[t + 1];
            ((EmuMatrix*)lanes[l])->to[q] = low | (u32)high << 16;
        }
}

template <int Count, bool Trans> __device__ __forceinline__ void emu_ldmatrix_call(u32 (&to)[Count], const void* row, int line) {
    if (emu_lane() < Count * 8) emu_read_shared(row, 16);
    EmuMatrix p{(const u16*)row, to};
    emu_warp(0xffffffffu, emu_ldmatrix<Count, Trans>, &p, line);
}

#define PLIP_LDMATRIX(Count, Suffix, Trans)                                                                        \
    __device__ __forceinline__ void ldmatrix_x##Count##Suffix(u32 (&to)[Count], const void* row, EMU_LINE) {       \
        emu_ldmatrix_call<Count, Trans>(to, row, line);                                                            \
    }
PLIP_LDMATRIX(1, , false)
PLIP_LDMATRIX(2, , false)
PLIP_LDMATRIX(4, , false)
PLIP_LDMATRIX(1, _trans, true)
PLIP_LDMATRIX(2, _trans, true)
PLIP_LDMATRIX(4, _trans, true)
#undef PLIP_LDMATRIX

#else

template <class Scalar> __device__ void mma_16x8x16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]);

#define PLIP_MMA(Scalar, Name)                                                                                              \
    template <> __device__ __forceinline__ void mma_16x8x16<Scalar>(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {  \
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." Name "." Name ".f32 "                                    \
                     "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"                                           \
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                  \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                              \
    }
PLIP_MMA(bf16, "bf16")
PLIP_MMA(half, "f16")
#undef PLIP_MMA

#define PLIP_LDMATRIX(Suffix, Op)                                                                                      \
    __device__ __forceinline__ void ldmatrix_x1##Suffix(u32 (&to)[1], const void* row) {                               \
        asm volatile("ldmatrix.sync.aligned.m8n8.x1" Op ".shared.b16 {%0}, [%1];"                                      \
                     : "=r"(to[0]) : "r"(shared_address(row)) : "memory");                                             \
    }                                                                                                                  \
    __device__ __forceinline__ void ldmatrix_x2##Suffix(u32 (&to)[2], const void* row) {                               \
        asm volatile("ldmatrix.sync.aligned.m8n8.x2" Op ".shared.b16 {%0,%1}, [%2];"                                   \
                     : "=r"(to[0]), "=r"(to[1]) : "r"(shared_address(row)) : "memory");                                \
    }                                                                                                                  \
    __device__ __forceinline__ void ldmatrix_x4##Suffix(u32 (&to)[4], const void* row) {                               \
        asm volatile("ldmatrix.sync.aligned.m8n8.x4" Op ".shared.b16 {%0,%1,%2,%3}, [%4];"                             \
                     : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(shared_address(row)) : "memory");      \
    }
PLIP_LDMATRIX(, "")
PLIP_LDMATRIX(_trans, ".trans")
#undef PLIP_LDMATRIX

#endif
