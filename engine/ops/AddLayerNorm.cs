using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Layer norm of a residual sum, as it ends each half of a transformer's block:  y = LayerNorm(x + Dropout(a)).
//   forward   s = x + (u ≥ p ? a/(1−p) : 0),  y as LayerNorm of s;  u_i = random.Uniform(i), the numbers of Ops.Dropout
//   backward  ds as LayerNorm's dx;  dx = ds,  da = (u ≥ p ? ds/(1−p) : 0)
//   saved     s, μ, r; on a CPU u ≥ p as well, a bit an element in words of each row. A GPU draws u again, which costs it nothing here
// Cost: 4 passes each way where the three ops make 7 and 5: x and a read, s and y written; dy and s read, dx and da written. Where no
// backward comes, s is not written. In F32 the bits are those of the three ops; in BF16 s is rounded once in place of twice.
public static partial class Ops
{
    /// <summary>
    /// Layer normalisation of x + dropout(a) over the last axis: x and a (…, C) of one shape and type, F32 or BF16, γ and β (C) F32.
    /// </summary>
    /// <param name="x">The residual.</param>
    /// <param name="a">What is dropped out and added.</param>
    /// <param name="gamma">γ.</param>
    /// <param name="beta">β.</param>
    /// <param name="eps">ε.</param>
    /// <param name="p">Probability of a zero in a, in [0, 1); 0 adds a as it is.</param>
    /// <param name="random">The stream and step that decide, as in <see cref="Dropout"/>.</param>
    /// <param name="step">I32 (1): the step, in the place of the one in <paramref name="random"/>, as in <see cref="Dropout"/>.</param>
    /// <exception cref="ArgumentException">Shapes or types do not fit, p is outside [0, 1), or the step is not one I32.</exception>
    public static Tensor AddLayerNorm(
        Tensor x, Tensor a, Tensor gamma, Tensor beta, float eps = 1e-5f, float p = 0f, Philox random = default, Tensor? step = null)
    {
        Require.SameShape(x, a);
        Require.Type(a, x.DType);
        Require.LastDim(x, gamma, beta);
        Require.That(p is >= 0 and < 1, $"expected a probability in [0, 1), got {p}");
        if (step != null) Require.That(step.DType == DType.I32 && step.Count == 1, $"expected the step as one I32, got {step}");
        var needed = x.Device.Recording && (x.NeedsGrad || a.NeedsGrad || gamma.NeedsGrad || beta.NeedsGrad);
        Tensor y = Tensor.Like(x), mean = Tensor.PerRow(x), rstd = Tensor.PerRow(x);
        var sum = needed ? Tensor.Like(x) : null;
        var drop = new RowDropout(p, random, step, x);
        x.Device.Run(x.DType, new AddLayerNormForward(y, sum, mean, rstd, x, a, gamma, beta, eps, drop));
        Tensor?[] saved = [sum, mean, rstd, drop.Kept];
        return Tape.Record(y, [x, a, gamma, beta], dy =>
        {
            var (dx, dgamma, dbeta) = (Tensor.Like(x), Tensor.Like(gamma), Tensor.Like(beta));
            var da = p > 0 ? Tensor.Like(x) : dx;
            x.Device.Run(x.DType, new AddLayerNormBackward(dx, da, dgamma, dbeta, dy, sum!, mean, rstd, gamma, drop));
            return [dx, da, dgamma, dbeta];
        }, [.. saved.OfType<Tensor>()]);
    }
}

/// <summary>Dropout of rows inside another op.</summary>
internal sealed class RowDropout(float p, Philox random, Tensor? step, Tensor x)
{
    /// <summary>Probability of a zero.</summary>
    public float P => p;

    /// <summary>Factor on the rest.</summary>
    public float Scale => 1f / (1f - p);

    /// <summary>The step where it lies in memory.</summary>
    public Tensor? Step => step;

    /// <summary>On a CPU, which elements stay: words of 32 bits, those of each row for itself. Null where nothing is dropped.</summary>
    public Tensor? Kept { get; } = p > 0 && x.Device is CpuDevice or PlanDevice { ForGpu: false } ? Tensor.Empty(x.Device, new Shape(x.Rows, Words(x.Cols)), DType.I32) : null;

    /// <summary>What a kernel makes the numbers of.</summary>
    public (long Seed, int Stream, int Step) Key => ((long)random.Key.Seed, (int)random.Key.Stream, (int)random.Key.Step);

    /// <summary>On a CPU: the numbers.</summary>
    public unsafe Philox Random => step == null ? random : new Philox(random.Key.Seed, random.Key.Stream, (uint)*step.I32);

    public static int Words(int cols) => (cols + Philox.RunLength - 1) / Philox.RunLength;
}

file readonly unsafe struct AddLayerNormForward(
    Tensor y, Tensor? sum, Tensor mean, Tensor rstd, Tensor x, Tensor a, Tensor gamma, Tensor beta, float eps, RowDropout drop) : IKernel
{
    private const int RowsTogether = 8; // summed, then normalised while they are in a cache

    public Work Work => sum == null ? Work.On("add_layer_norm_forward", 11, x, a, y) : Work.On("add_layer_norm_forward", 11, x, a, y, sum);

    public void Run(CudaDevice gpu, DType type)
    {
        var (seed, stream, step) = drop.Key;
        var pack = sum == null ? Pack.Of(type, x.Cols, x, a, y, gamma) : Math.Min(Pack.Of(type, x.Cols, x, a, y, gamma), Pack.Of(type, x.Cols, sum, beta));
        gpu.Launch(
            "add_layer_norm", "add_layer_norm_forward", [("TYPE", type), ("COLS", x.Cols), ("PACK", pack)], Launch.WarpPerRow(x.Rows),
            y, sum, mean, rstd, x, a, gamma, beta, drop.Step, x.Rows, eps, drop.P, drop.Scale, seed, stream, step);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* py = y.At<T>(), ps = sum == null ? py : sum.At<T>(), px = x.At<T>(), pa = a.At<T>();
        float* pm = mean.F32, pr = rstd.F32, pg = gamma.F32, pb = beta.F32;
        var kept = drop.Kept == null ? null : (uint*)drop.Kept.I32;
        var (cols, e, p, random) = (x.Cols, eps, drop.P, drop.P > 0 ? drop.Random : default);
        cpu.ForRange(x.Rows, Math.Max(64, RowBlocks.PerTask(cols)), (from, to) =>
        {
            for (var r = from; r < to; r += RowsTogether)
            {
                var (at, rows) = (r * cols, (int)Math.Min(RowsTogether, to - r));
                if (kept == null) Loop.Run<V, AddLoop<T>>(new(ps + at, px + at, pa + at), 0, (long)rows * cols);
                else DropRows<V, T>(ps + at, px + at, pa + at, kept + r * RowDropout.Words(cols), at, rows, cols, p, random);
                LayerNormRows.Forward<V, T>(py + at, pm + r, pr + r, ps + at, pg, pb, rows, cols, e);
            }
        });
    }

    private static void DropRows<V, T>(T* sum, T* x, T* a, uint* kept, long element, int rows, int cols, float p, Philox random)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var uniform = TaskMemory.Take(cols + 2 * Philox.RunLength);
        for (var r = 0; r < rows; r++, element += cols, sum += cols, x += cols, a += cols, kept += RowDropout.Words(cols))
        {
            var lead = (int)(element & 3); // four elements share a block of numbers, and a row may begin inside one
            for (var k = 0; k < lead + cols; k += Philox.RunLength) random.Uniforms<V>((ulong)(element - lead + k) >> 2, uniform + k);
            Row<V, T>(sum, x, a, kept, uniform + lead, cols, p);
        }
    }

    private static void Row<V, T>(T* sum, T* x, T* a, uint* kept, float* uniform, int cols, float p)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var c = 0;
        for (; c <= cols - Philox.RunLength; c += Philox.RunLength)
        {
            var bits = 0u;
            for (var k = 0; k < Philox.RunLength; k += V.Count) bits |= Some<V, T>(sum, x, a, uniform, c + k, p) << k;
            *kept++ = bits;
        }
        if (c == cols) return;
        *kept = 0;
        for (var k = 0; c + k < cols; k++) *kept |= Some<Vec1, T>(sum, x, a, uniform, c + k, p) << k;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Some<V, T>(T* sum, T* x, T* a, float* uniform, int i, float p)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var mask = V.LessOrEqual(V.Create(p), V.Load(uniform + i));
        T.Store(V.Where(mask, T.Load<V>(a + i) * V.Create(1f / (1f - p))) + T.Load<V>(x + i), sum + i);
        return V.Bits(mask);
    }

    private readonly struct AddLoop<T>(T* sum, T* x, T* a) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => T.Store(T.Load<V>(a + i) + T.Load<V>(x + i), sum + i);
    }
}

/// <summary>da is dx where nothing is dropped.</summary>
file readonly unsafe struct AddLayerNormBackward(
    Tensor dx, Tensor da, Tensor dgamma, Tensor dbeta, Tensor dy, Tensor sum, Tensor mean, Tensor rstd, Tensor gamma, RowDropout drop) : IKernel
{
    public Work Work => drop.P > 0 ? Work.On("add_layer_norm_backward", 16, dy, sum, dx, da) : Work.On("add_layer_norm_backward", 14, dy, sum, dx);

    public void Run(CudaDevice gpu, DType type)
    {
        const int RowsPerBlock = 32; // as in the kernel
        int cols = sum.Cols, blocks = Launch.Blocks(sum.Rows, RowsPerBlock);
        using var partial = gpu.Scratch(2L * blocks * cols);
        var (seed, stream, step) = drop.Key;
        ReadOnlySpan<Define> constants = [("TYPE", type), ("COLS", cols), ("PACK", Math.Min(Pack.Of(type, cols, sum, dy, dx, gamma), Pack.Of(type, cols, da)))];
        var grid = Launch.Grid(blocks).Of(32, 8).Shared(2 * cols * sizeof(float));
        if (drop.P > 0)
            gpu.Launch(
                "add_layer_norm", "add_layer_norm_backward", constants, grid,
                dx, da, partial, dy, sum, mean, rstd, gamma, drop.Step, sum.Rows, drop.P, drop.Scale, seed, stream, step);
        else gpu.Launch("layer_norm", "layer_norm_backward", constants, grid, dx, partial, dy, sum, mean, rstd, gamma, sum.Rows);
        gpu.Launch("layer_norm", "layer_norm_parameters", constants, Launch.Grid(Launch.Blocks(cols, 32), 2).Of(32, 8), dgamma, dbeta, partial, blocks);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        const int RowsPerBlock = LayerNormRows.PerBlock;
        T* pdx = dx.At<T>(), pda = da.At<T>(), pdy = dy.At<T>(), ps = sum.At<T>();
        float* pm = mean.F32, pr = rstd.F32, pg = gamma.F32;
        var kept = drop.Kept == null ? null : (uint*)drop.Kept.I32;
        int cols = sum.Cols, rows = sum.Rows, blocks = (rows + RowsPerBlock - 1) / RowsPerBlock;
        var scale = drop.Scale;
        using var partial = cpu.Scratch(2L * blocks * cols);
        var sums = partial.At;
        cpu.For(blocks, b =>
        {
            float* dg = sums + 2L * b * cols, db = dg + cols;
            new Span<float>(dg, 2 * cols).Clear();
            for (int r = b * RowsPerBlock, end = Math.Min(rows, r + RowsPerBlock); r < end; r++)
            {
                var at = (long)r * cols;
                LayerNormRows.Backward<V, T>(pdx + at, pdy + at, ps + at, pg, dg, db, cols, pm[r], pr[r]);
                if (kept != null) Loop.Run<V, Masked<T>>(new(pda + at, pdx + at, kept + (long)r * RowDropout.Words(cols), scale), 0, cols);
            }
        });
        cpu.AddRows<V>(dgamma.F32, sums, 2L * cols, blocks, cols);
        cpu.AddRows<V>(dbeta.F32, sums + cols, 2L * cols, blocks, cols);
    }

    private readonly struct Masked<T>(T* da, T* dx, uint* kept, float scale) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            var bits = kept[i / Philox.RunLength] >> (int)(i % Philox.RunLength);
            T.Store(V.Where(V.Mask(bits), T.Load<V>(dx + i) * V.Create(scale)), da + i);
        }
    }
}
