// contrast_1.cu: rung 1 of the contrastive loss: N×N products in memory, a softmax a line.     compiled once
//   maths    log Σ e^(s·C) − s·Cᵢᵢ of each line of C = P/(|v||t|); P = v·tᵀ comes from cuBLASLt, in F32
//   traffic  N²·4 bytes written by the product and read twice for the rows and twice for the columns, of which a warp's 32 reads lie in 32
//            rows: 32 bytes move for each 4. At N = 32,768 that is 4.3 GB of memory and at least 47 GB moved; at 262,144 it does not fit
//   launch   a block of 256 a line: first the rows (elements 1 apart), then the columns (n apart)
//   care     the highest score is taken off before exp
//   next     nothing of C is needed but a maximum and a sum a line: contrast_2 takes tiles where they are made and never writes them
//   see      engine/ops/ladder/ContrastLadder.cs · ContrastStreamTests
#include "warp.cuh"

// Element j of line i is at i·line + j·step; inverse: 1/|v| and 1/|t| of the lines, then of what crosses them.
extern "C" __global__ void __launch_bounds__(256) contrast_1_lines(
    float* losses, const float* products, const float* inverse_lines, const float* inverse_across, int n, i64 line, i64 step, float scale) {
    const int i = blockIdx.x;
    const float by = scale * inverse_lines[i];
    products += i * line;
    float highest = -INFINITY, sum = 0;
    for (int j = threadIdx.x; j < n; j += 256) highest = fmaxf(highest, products[j * step] * inverse_across[j]);
    const float top = by * block_max(highest);
    for (int j = threadIdx.x; j < n; j += 256) sum += expf(products[j * step] * inverse_across[j] * by - top);
    sum = block_sum(sum);
    if (threadIdx.x == 0) losses[i] = 0.5f * (top + logf(sum) - products[i * step] * inverse_across[i] * by);
}
