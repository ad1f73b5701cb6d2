using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Normalise the last axis.                                  Ba et al., arXiv:1607.06450
//   forward   x̂ = (x−μ)·r,  r = 1/√(σ²+ε),  y = γ⊙x̂ + β
//   backward  g = γ⊙dy;  dx = r·(g − mean g − x̂·mean(g⊙x̂));  dγ = Σ dy⊙x̂;  dβ = Σ dy
//   saved     x, μ, r.  x̂ is recomputed: two floats a row instead of a second copy of x.
//   care      centre, then square: E[x²]−E[x]² cancels when |μ| ≫ σ
// Cost: a row stays in L1 between its three reads, so x is read once and y written once: 8 bytes an element in F32.
public static partial class Ops
{
    /// <summary>Layer normalisation over the last axis: x (…, C) F32 or BF16, γ and β (C) F32; the result is stored as x is.</summary>
    /// <exception cref="ArgumentException">γ or β is not C long.</exception>
    public static Tensor LayerNorm(Tensor x, Tensor gamma, Tensor beta, float eps = 1e-5f)
    {
        Require.LastDim(x, gamma, beta);
        var y = Tensor.Like(x);
        var mean = Tensor.PerRow(x);
        var rstd = Tensor.PerRow(x);
        x.Device.Run(x.DType, new LayerNormForward(y, mean, rstd, x, gamma, beta, eps));
        return Tape.Record(y, [x, gamma, beta], dy =>
        {
            var (dx, dgamma, dbeta) = (Tensor.Like(x), Tensor.Like(gamma), Tensor.Like(beta));
            x.Device.Run(x.DType, new LayerNormBackward(dx, dgamma, dbeta, dy, x, mean, rstd, gamma));
            return [dx, dgamma, dbeta];
        }, [mean, rstd]);
    }
}

file readonly unsafe struct LayerNormForward(
    Tensor y, Tensor mean, Tensor rstd, Tensor x, Tensor gamma, Tensor beta, float eps) : IKernel
{
    public Work Work => Work.On("layer_norm_forward", 8, x, y);

    public void Run(CudaDevice gpu, DType type) => gpu.Launch(
        "layer_norm", "layer_norm_forward", [("TYPE", type), ("COLS", x.Cols), ("PACK", Pack.Of(type, x.Cols, x, y, gamma, beta))],
        Launch.WarpPerRow(x.Rows), y, mean, rstd, x, gamma, beta, x.Rows, eps);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* py = y.At<T>(), px = x.At<T>();
        float* pm = mean.F32, pr = rstd.F32, pg = gamma.F32, pb = beta.F32;
        var (cols, e) = (x.Cols, eps);
        cpu.ForRange(x.Rows, Math.Max(64, RowBlocks.PerTask(cols)), (from, to) =>
            LayerNormRows.Forward<V, T>(py + from * cols, pm + from, pr + from, px + from * cols, pg, pb, (int)(to - from), cols, e));
    }
}

file readonly unsafe struct LayerNormBackward(
    Tensor dx, Tensor dgamma, Tensor dbeta, Tensor dy, Tensor x, Tensor mean, Tensor rstd, Tensor gamma) : IKernel
{
    public Work Work => Work.On("layer_norm_backward", 14, x, dy, dx);

    public void Run(CudaDevice gpu, DType type)
    {
        const int RowsPerBlock = 32; // as in the kernel
        int cols = x.Cols, blocks = Launch.Blocks(x.Rows, RowsPerBlock);
        using var partial = gpu.Scratch(2L * blocks * cols);
        ReadOnlySpan<Define> constants = [("TYPE", type), ("COLS", cols), ("PACK", Pack.Of(type, cols, x, dy, dx, gamma))];
        gpu.Launch(
            "layer_norm", "layer_norm_backward", constants, Launch.Grid(blocks).Of(32, 8).Shared(2 * cols * sizeof(float)),
            dx, partial, dy, x, mean, rstd, gamma, x.Rows);
        gpu.Launch("layer_norm", "layer_norm_parameters", constants, Launch.Grid(Launch.Blocks(cols, 32), 2).Of(32, 8), dgamma, dbeta, partial, blocks);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        const int RowsPerBlock = LayerNormRows.PerBlock;
        T* pdx = dx.At<T>(), pdy = dy.At<T>(), px = x.At<T>();
        float* pm = mean.F32, pr = rstd.F32, pg = gamma.F32;
        int cols = x.Cols, rows = x.Rows, blocks = (rows + RowsPerBlock - 1) / RowsPerBlock;
        using var partial = cpu.Scratch(2L * blocks * cols);
        var sums = partial.At;
        cpu.For(blocks, b =>
        {
            float* dg = sums + 2L * b * cols, db = dg + cols;
            new Span<float>(dg, 2 * cols).Clear();
            for (int r = b * RowsPerBlock, end = Math.Min(rows, r + RowsPerBlock); r < end; r++)
                LayerNormRows.Backward<V, T>(pdx + (long)r * cols, pdy + (long)r * cols, px + (long)r * cols, pg, dg, db, cols, pm[r], pr[r]);
        });
        cpu.AddRows<V>(dgamma.F32, sums, 2L * cols, blocks, cols);
        cpu.AddRows<V>(dbeta.F32, sums + cols, 2L * cols, blocks, cols);
    }
}

/// <summary>Rows of a layer norm on the CPU.</summary>
internal static unsafe class LayerNormRows
{
    /// <summary>Rows whose γ and β gradients are summed before the blocks are.</summary>
    public const int PerBlock = 64;

    /// <summary>y may lie where x does.</summary>
    public static void Forward<V, T>(T* y, float* mean, float* rstd, T* x, float* gamma, float* beta, int rows, int cols, float eps)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        if (cols == 4 * V.Count) FourVectors<V, T>(y, mean, rstd, x, gamma, beta, rows, eps);
        else AnyLength<V, T>(y, mean, rstd, x, gamma, beta, rows, cols, eps);
    }

    private static void AnyLength<V, T>(T* y, float* mean, float* rstd, T* x, float* gamma, float* beta, int rows, int cols, float eps)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        for (var r = 0; r < rows; r++, y += cols, x += cols)
        {
            var mu = Rows.Sum<V, T>(x, cols) / cols;
            var s = 1f / MathF.Sqrt(Rows.SumSquares<V, T>(x, cols, mu) / cols + eps);
            (mean[r], rstd[r]) = (mu, s);
            Loop.Run<V, Normalise<T>>(new Normalise<T>(y, x, mu, s, gamma, beta), 0, cols);
        }
    }

    /// <summary>Rows of four vectors: from load to store in registers.</summary>
    private static void FourVectors<V, T>(T* y, float* mean, float* rstd, T* x, float* gamma, float* beta, int rows, float eps)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        V ga = V.Load(gamma), gb = V.Load(gamma + V.Count), gc = V.Load(gamma + 2 * V.Count), gd = V.Load(gamma + 3 * V.Count);
        V ba = V.Load(beta), bb = V.Load(beta + V.Count), bc = V.Load(beta + 2 * V.Count), bd = V.Load(beta + 3 * V.Count);
        var one = 1f / (4 * V.Count); // a power of two
        for (var r = 0; r < rows; r++, y += 4 * V.Count, x += 4 * V.Count)
        {
            V a = T.Load<V>(x), b = T.Load<V>(x + V.Count), c = T.Load<V>(x + 2 * V.Count), d = T.Load<V>(x + 3 * V.Count);
            var mu = V.Sum(a + b + (c + d)) * one;
            var center = V.Create(mu);
            (a, b, c, d) = (a - center, b - center, c - center, d - center);
            var s = 1f / MathF.Sqrt(V.Sum(a * a + b * b + (c * c + d * d)) * one + eps);
            (mean[r], rstd[r]) = (mu, s);
            var scale = V.Create(s);
            T.Store(V.Fma(a * scale, ga, ba), y);
            T.Store(V.Fma(b * scale, gb, bb), y + V.Count);
            T.Store(V.Fma(c * scale, gc, bc), y + 2 * V.Count);
            T.Store(V.Fma(d * scale, gd, bd), y + 3 * V.Count);
        }
    }

    private readonly struct Normalise<T>(T* y, T* x, float mean, float rstd, float* gamma, float* beta) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            var hat = (T.Load<V>(x + i) - V.Create(mean)) * V.Create(rstd);
            T.Store(V.Fma(hat, V.Load(gamma + i), V.Load(beta + i)), y + i);
        }
    }

    /// <summary>dx of a row; what it adds to the gradients of γ and β goes to dgamma and dbeta.</summary>
    public static void Backward<V, T>(T* dx, T* dy, T* x, float* gamma, float* dgamma, float* dbeta, int cols, float mean, float rstd)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        V sum = default, sumX = default;
        var i = 0;
        for (; i <= cols - V.Count; i += V.Count) Accumulate<V, T>(i, dy, x, gamma, dgamma, dbeta, mean, rstd, ref sum, ref sumX);
        Vec1 tail = default, tailX = default;
        for (; i < cols; i++) Accumulate<Vec1, T>(i, dy, x, gamma, dgamma, dbeta, mean, rstd, ref tail, ref tailX);
        var (g, gx) = ((V.Sum(sum) + tail.Value) / cols, (V.Sum(sumX) + tailX.Value) / cols);
        Loop.Run<V, Gradient<T>>(new Gradient<T>(dx, dy, x, gamma, mean, rstd, g, gx), 0, cols);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Accumulate<V, T>(
        int i, T* dy, T* x, float* gamma, float* dgamma, float* dbeta, float mean, float rstd, ref V sum, ref V sumX)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var d = T.Load<V>(dy + i);
        var hat = (T.Load<V>(x + i) - V.Create(mean)) * V.Create(rstd);
        var g = d * V.Load(gamma + i);
        sum += g;
        sumX = V.Fma(g, hat, sumX);
        V.Fma(d, hat, V.Load(dgamma + i)).Store(dgamma + i);
        (V.Load(dbeta + i) + d).Store(dbeta + i);
    }

    private readonly struct Gradient<T>(
        T* dx, T* dy, T* x, float* gamma, float mean, float rstd, float meanG, float meanGx) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            var hat = (T.Load<V>(x + i) - V.Create(mean)) * V.Create(rstd);
            var g = T.Load<V>(dy + i) * V.Load(gamma + i);
            T.Store((g - V.Create(meanG) - hat * V.Create(meanGx)) * V.Create(rstd), dx + i);
        }
    }
}
