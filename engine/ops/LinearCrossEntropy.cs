using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Cross entropy of x·Wᵀ + b without its logits in memory, part of the vocabulary by part.
//   forward   L = 1/n Σ_t (lse_t − x_t[label_t]);  a part's logits join the running maximum and sum of each row
//   backward  a part's logits again; g = dL/n·(e^(logits − lse) − onehot);  dW = gᵀ·x and db = Σ g of these words, dx += g·W
//   saved     lse, n; and the logits where they are one part, which is then not computed twice
//   types     logits and statistics are F32 whatever x and W are; g is stored as x is for the products, dx is summed in F32
// Cost: 8·M·V·C flops where CrossEntropy(Linear) needs 6, and M·part instead of 2·M·V elements. By parts of rows (Liger's way,
// arXiv:2410.10989) it would be 6, but dW, V·C in F32, would be read and written again for each part: at M = 512, V = 30522,
// C = 768 eight parts cost 24 GFLOP more (40 µs of an H200's tensor cores at 600 TFLOP/s) against 1.3 GB more (300 µs at 4.3 TB/s),
// and dW would be held from the forward on, made whether a backward comes or not. One part costs what the two ops do.
public static partial class Ops
{
    /// <summary>Logits of a part: 8 MB of F32, which stay in a GPU's second-level cache, and products large enough to fill it (512 × 4096).</summary>
    private const long PartElements = 1 << 21;

    /// <summary>
    /// <c>CrossEntropy(Linear(hidden, weight, bias), labels)</c> without the logits: hidden (M, C), weight (V, C) of one type, F32 or BF16,
    /// bias (V) F32 or null, labels I32 (M) → F32 scalar; 0, with zero gradients, when every row is ignored. The gradient of the weight is F32.
    /// </summary>
    /// <param name="hidden">A row for each label.</param>
    /// <param name="weight">A row for each class.</param>
    /// <param name="bias">Added to the logits, or null.</param>
    /// <param name="labels">The right class of each row, or <paramref name="ignoreIndex"/>; read again by the backward.</param>
    /// <param name="ignoreIndex">The label of rows that do not count.</param>
    /// <exception cref="ArgumentException">Shapes do not fit, or a label is outside 0 … V−1 (the error names its row; on a GPU the next read throws it).</exception>
    public static Tensor LinearCrossEntropy(Tensor hidden, Tensor weight, Tensor? bias, Tensor labels, int ignoreIndex = -100) =>
        LinearCrossEntropy(hidden, weight, bias, labels, ignoreIndex, PartElements);

    /// <summary>The same with so many logits at most at a time; a part is at least 64 words.</summary>
    internal static Tensor LinearCrossEntropy(Tensor hidden, Tensor weight, Tensor? bias, Tensor labels, int ignoreIndex, long partElements)
    {
        Require.Rank(hidden, 2, "hidden states (M, C)");
        RequireLinear(hidden, weight, bias);
        Require.That(weight.Shape[0] > 0, "expected at least one class");
        Require.That(weight.DType == hidden.DType, $"expected a weight stored as the hidden states are, {hidden.DType}, got {weight.DType}; convert with Ops.Cast");
        Require.Type(labels, DType.I32);
        Require.That(labels.Count == hidden.Shape[0], $"expected one label for each row of {hidden.Shape}, got {labels.Shape}");
        var (device, parts) = (hidden.Device, VocabularyParts.Of(hidden.Shape[0], weight.Shape[0], partElements));
        var counted = Tensor.Empty(device, new Shape(1), DType.I32);
        device.Run(DType.F32, new LabelCount(counted, labels, weight.Shape[0], ignoreIndex, nameof(LinearCrossEntropy)));
        var y = Tensor.Empty(device, new Shape());
        var lse = Tensor.PerRow(hidden);
        var logits = Tensor.Empty(device, new Shape(hidden.Shape[0], parts.Width));
        device.Run(hidden.DType, new LinearCrossEntropyForward(y, lse, logits, hidden, weight, bias, labels, counted, parts, ignoreIndex));
        if (parts.Count > 1) logits.Release();
        return Tape.Record(y, bias == null ? [hidden, weight] : [hidden, weight, bias], dy =>
        {
            var dx = hidden.NeedsGrad ? Tensor.Like(hidden) : null;
            var dw = weight.NeedsGrad ? Tensor.Empty(device, weight.Shape) : null;
            var db = bias is { NeedsGrad: true } ? Tensor.Empty(device, bias.Shape) : null;
            var again = parts.Count > 1 ? Tensor.Empty(device, logits.Shape) : null;
            device.Run(hidden.DType, new LinearCrossEntropyBackward(
                dx, dw, db, dy, lse, again ?? logits, hidden, weight, bias, labels, counted, parts, ignoreIndex));
            again?.Release();
            return bias == null ? [dx, dw] : [dx, dw, db];
        }, parts.Count > 1 ? [lse, counted] : [lse, counted, logits]);
    }
}

/// <summary>How a vocabulary is cut: parts of one width, a multiple of 64 so that rows of W and b stay aligned, the last what is left.</summary>
internal readonly record struct VocabularyParts(int Words, int Width)
{
    private const int Step = 64;

    public int Count => (Words + Width - 1) / Math.Max(1, Width);

    public static VocabularyParts Of(int rows, int words, long elements)
    {
        var parts = Math.Max(1, ((long)rows * words + elements - 1) / elements);
        return parts == 1 ? new(words, words) : new(words, (int)(((words + parts - 1) / parts + Step - 1) / Step * Step));
    }

    /// <summary>The words of a part.</summary>
    public (int First, int Count) this[int part] => (part * Width, Math.Min(Width, Words - part * Width));

    /// <summary>Its rows of what has one for each word, or its elements of a vector. Release it.</summary>
    public Tensor? Of(Tensor? x, int part)
    {
        if (x == null) return null;
        var (first, count) = this[part];
        var each = (int)(x.Count / Words);
        return x.View(new Shape(count, each), (long)first * each * x.DType.Size());
    }

    /// <summary>A part's logits by cuBLASLt, in F32 with an F32 bias, from the front of <paramref name="logits"/>. Release it.</summary>
    public Tensor Logits(CudaDevice gpu, Tensor logits, Tensor hidden, Tensor weight, Tensor? bias, int part)
    {
        var (x, w, b) = (logits.View(new Shape(hidden.Rows, this[part].Count)), Of(weight, part)!, Of(bias, part));
        gpu.Gemm.Run(x, hidden, w, false, true, hidden.Rows, x.Cols, hidden.Cols, bias: b);
        w.Release();
        b?.Release();
        return x;
    }
}

file readonly unsafe struct LinearCrossEntropyForward(
    Tensor y, Tensor lse, Tensor logits, Tensor hidden, Tensor weight, Tensor? bias, Tensor labels, Tensor counted, VocabularyParts parts, int ignore) : IKernel
{
    private const int StateSize = 3; // floats of a row, as in the kernel

    public Work Work => Work.On("linear_cross_entropy_forward", (2.0 * hidden.Cols + 18) * weight.Rows / Math.Max(1, hidden.Cols), hidden, weight, lse, labels);

    public void Run(CudaDevice gpu, DType type)
    {
        var rows = hidden.Rows;
        using CudaScratch state = gpu.Scratch((long)StateSize * rows), losses = gpu.Scratch(rows);
        for (var part = 0; part < parts.Count; part++)
        {
            var x = parts.Logits(gpu, logits, hidden, weight, bias, part);
            gpu.Launch(
                "linear_cross_entropy", "linear_cross_entropy_fold", [("TYPE", type), ("PACK", 4), ("THREADS", RowTeam.Threads(x.Cols))],
                RowTeam.Launch(rows, x.Cols), state, losses, lse, x, labels, rows, x.Cols, parts[part].First, parts.Words, ignore);
            x.Release();
        }
        CrossEntropyMean.Launch(gpu, [("TYPE", DType.F32), ("PACK", 4), ("THREADS", 256)], y, losses, counted, rows);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        int rows = hidden.Rows, width = hidden.Cols;
        using Scratch scratch = cpu.Scratch((long)StateSize * rows), each = cpu.Scratch(rows);
        float* state = scratch.At, losses = each.At, pl = lse.F32, px = logits.F32, pb = bias == null ? null : bias.F32;
        var at = labels.I32;
        var (ignored, words) = (ignore, parts.Words);
        for (var part = 0; part < parts.Count; part++)
        {
            var (first, count) = parts[part];
            Gemm.Run<V, T, T, F32>(
                cpu, false, true, rows, count, width, hidden.At<T>(), width, weight.At<T>() + (long)first * width, width, (F32*)px, count, bias: pb == null ? null : pb + first);
            cpu.ForRange(rows, RowBlocks.PerTask(count), (from, to) =>
            {
                for (var t = from; t < to; t++)
                {
                    losses[t] = 0;
                    if (at[t] != ignored) Fold<V>(state + StateSize * t, losses + t, pl + t, px + t * count, count, at[t], first, words);
                }
            });
        }
        *y.F32 = CrossEntropyMean.Of(losses, rows, *counted.I32);
    }

    /// <summary>A row of a part, as the kernel does it: state is maximum, Σ e^(x − maximum) and the label's logit.</summary>
    private static void Fold<V>(float* state, float* loss, float* lse, float* x, int cols, int label, int first, int words) where V : struct, IVector<V>
    {
        var top = Rows.Max<V, F32>((F32*)x, cols);
        if (first == 0) (state[0], state[1], state[2]) = (float.NegativeInfinity, 0, 0);
        var max = MathF.Max(state[0], top);
        var shift = float.IsNegativeInfinity(max) ? 0 : max;
        var sum = SoftmaxRows.ExpSum<V, F32>((F32*)x, cols, shift);
        if (first > 0) sum += state[1] * MathF.Exp(state[0] - shift);
        (state[0], state[1]) = (max, sum);
        if (label >= first && label < first + cols) state[2] = x[label - first];
        if (first + cols < words) return;
        var log = MathF.Log(sum);
        (*lse, *loss) = (max + log, max - state[2] + log);
    }
}

/// <summary>What is null of dx, dw, db is not wanted. The logits of the last part that was computed are overwritten where g can take their place.</summary>
file readonly unsafe struct LinearCrossEntropyBackward(
    Tensor? dx, Tensor? dw, Tensor? db, Tensor dy, Tensor lse, Tensor logits, Tensor hidden, Tensor weight, Tensor? bias, Tensor labels, Tensor counted,
    VocabularyParts parts, int ignore) : IKernel
{
    private const int RowsPerBlock = 16; // whose part of db is summed before the blocks are

    public Work Work
    {
        get
        {
            var products = (parts.Count > 1 ? 1 : 0) + (dx == null ? 0 : 1) + (dw == null ? 0 : 1);
            return new(
                "linear_cross_entropy_backward", hidden.Bytes + weight.Bytes + lse.Bytes + labels.Bytes + (dx?.Bytes ?? 0) + (dw?.Bytes ?? 0) + (db?.Bytes ?? 0),
                (2.0 * products * hidden.Cols + 18) * hidden.Rows * weight.Rows);
        }
    }

    public void Run(CudaDevice gpu, DType type)
    {
        const int RowsPerBlock = 64; // as in the kernel
        int rows = hidden.Rows, blocks = Launch.Blocks(rows, RowsPerBlock);
        if (rows == 0)
        {
            if (dw != null) gpu.Clear(dw.Address, dw.Bytes);
            if (db != null) gpu.Clear(db.Address, db.Bytes);
            return;
        }
        var g = type == DType.F32 ? logits : Tensor.Empty(gpu, logits.Shape, type);
        var sum = dx == null || type == DType.F32 || parts.Count == 1 ? dx : Tensor.Empty(gpu, dx.Shape);
        using var partial = gpu.Scratch(db == null ? 0 : (long)blocks * parts.Width);
        for (var part = 0; part < parts.Count; part++)
        {
            var x = parts.Count == 1 ? logits.View(logits.Shape) : parts.Logits(gpu, logits, hidden, weight, bias, part);
            var (cols, to) = (x.Cols, g.View(x.Shape));
            var pack = cols % 4 == 0 ? 4 : 1;
            ReadOnlySpan<Define> constants = [("TYPE", type), ("PACK", pack), ("THREADS", 256)];
            var grid = Launch.Grid(Launch.Blocks(cols, 32 * pack), blocks).Of(32, 8);
            var (first, dbPart) = (parts[part].First, parts.Of(db, part));
            if (dbPart == null)
                gpu.Launch("linear_cross_entropy", "linear_cross_entropy_gradient", constants, grid, to, dbPart, x, dy, lse, labels, counted, rows, cols, first, ignore);
            else
            {
                gpu.Launch("linear_cross_entropy", "linear_cross_entropy_gradient", constants, grid, to, partial, x, dy, lse, labels, counted, rows, cols, first, ignore);
                RowBlocks.Add(gpu, dbPart, partial, blocks);
                dbPart.Release();
            }
            if (parts.Of(dw, part) is { } dwPart)
            {
                gpu.Gemm.Run(dwPart, to, hidden, true, false, cols, hidden.Cols, rows);
                dwPart.Release();
            }
            if (sum != null)
            {
                var w = parts.Of(weight, part)!;
                gpu.Gemm.Run(sum, to, w, false, false, rows, hidden.Cols, cols, accumulate: part > 0);
                w.Release();
            }
            to.Release();
            x.Release();
        }
        if (sum != dx)
        {
            Ops.CastInto(dx!, sum!);
            sum!.Release();
        }
        if (g != logits) g.Release();
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        int rows = hidden.Rows, width = hidden.Cols;
        using Scratch rounded = cpu.Scratch(typeof(T) == typeof(F32) ? 0 : logits.Count), wide = cpu.Scratch(parts.Count == 1 || typeof(T) == typeof(F32) ? 0 : hidden.Count);
        T* g = typeof(T) == typeof(F32) ? logits.At<T>() : (T*)rounded.At;
        var x = logits.F32;
        for (var part = 0; part < parts.Count; part++)
        {
            var (first, cols) = parts[part];
            T* w = weight.At<T>() + (long)first * width;
            if (parts.Count > 1)
                Gemm.Run<V, T, T, F32>(cpu, false, true, rows, cols, width, hidden.At<T>(), width, w, width, (F32*)x, cols, bias: bias == null ? null : bias.F32 + first);
            Gradient<V, T>(cpu, g, x, rows, cols, first);
            if (dw != null) Gemm.Run<V, T, T, F32>(cpu, true, false, cols, width, rows, g, cols, hidden.At<T>(), width, dw.At<F32>() + (long)first * width, width);
            if (dx == null) continue;
            if (parts.Count == 1) Gemm.Run<V, T, T, T>(cpu, false, false, rows, width, cols, g, cols, w, width, dx.At<T>(), width);
            else
                Gemm.Run<V, T, T, F32>(
                    cpu, false, false, rows, width, cols, g, cols, w, width, typeof(T) == typeof(F32) ? dx.At<F32>() : (F32*)wide.At, width, accumulate: part > 0);
        }
        if (dx != null && parts.Count > 1 && typeof(T) != typeof(F32)) cpu.Loop<V, Rounding<T>>(dx.Count, new(dx.At<T>(), wide.At));
    }

    private void Gradient<V, T>(CpuDevice cpu, T* g, float* x, int rows, int cols, int first)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var blocks = (rows + RowsPerBlock - 1) / RowsPerBlock;
        using var partial = cpu.Scratch(db == null ? 0 : (long)blocks * cols);
        float* sums = db == null ? null : partial.At, pl = lse.F32;
        var at = labels.I32;
        var (ignored, scale) = (ignore, *counted.I32 == 0 ? 0f : *dy.F32 / *counted.I32);
        cpu.For(blocks, block =>
        {
            var sum = sums == null ? null : sums + (long)block * cols;
            if (sum != null) new Span<float>(sum, cols).Clear();
            for (var t = block * RowsPerBlock; t < Math.Min(rows, (block + 1) * RowsPerBlock); t++)
            {
                var at0 = (long)t * cols;
                if (at[t] == ignored) new Span<T>(g + at0, cols).Clear();
                else Row<V, T>(g + at0, x + at0, sum, cols, pl[t], scale, at[t] - first);
            }
        });
        if (db != null) cpu.AddRows<V>(db.F32 + first, sums, cols, blocks, cols);
    }

    private static void Row<V, T>(T* g, float* x, float* sum, int cols, float lse, float scale, int label)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var here = label >= 0 && label < cols;
        // Written whole, not corrected in place: p − 1 is rounded once. g may lie where x does.
        var own = here ? (VectorMath.ExpToZero(new Vec1(x[label]) - new Vec1(lse)) - new Vec1(1f)) * new Vec1(scale) : default;
        if (sum == null) Loop.Run<V, Slope<T>>(new(g, x, lse, scale), 0, cols);
        else Loop.Run<V, SummedSlope<T>>(new(g, x, sum, lse, scale), 0, cols);
        if (!here) return;
        T.Store(own, g + label);
        if (sum != null) sum[label] -= scale;
    }

    private readonly struct Slope<T>(T* g, float* x, float lse, float scale) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> =>
            T.Store(VectorMath.ExpToZero(V.Load(x + i) - V.Create(lse)) * V.Create(scale), g + i);
    }

    private readonly struct SummedSlope<T>(T* g, float* x, float* sum, float lse, float scale) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            var p = VectorMath.ExpToZero(V.Load(x + i) - V.Create(lse)) * V.Create(scale);
            (V.Load(sum + i) + p).Store(sum + i);
            T.Store(p, g + i);
        }
    }

    private readonly struct Rounding<T>(T* to, float* from) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => T.Store(V.Load(from + i), to + i);
    }
}
