using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>
/// Contrastive losses of batches that are not large: cosines of all pairs in memory, a loss by rows (images against texts, and texts against
/// images), and the way back through the products and the normalisation. Embeddings F32, BF16 or F16; all between them and their gradients is F32.
/// </summary>
/// <remarks>
///   forward   u = v/|v|, w = t/|t|, C = u·wᵀ; L = 1/N Σᵢ row(C[i,·], |vᵢ| or 1) [+ the same of Cᵀ with |tⱼ|]
///   backward  du = dC·w, dw = dCᵀ·u; dv = (du − u(u·du))/|v| + d|v|·u, and so dt
///   saved     u, w, dC, lengths and their gradients. The loss is a scalar, so dC is worked out with it and only scaled later.
///   care      a zero embedding has no direction: u = 0 and its gradient is 0
/// Cost: one N×N×D product forward, two backward, N² exponentials a few times. N×N floats are held until the backward.
/// </remarks>
internal static class ContrastStored
{
    public static Tensor Loss<TRow>(Tensor images, Tensor texts, Tensor? identities, TRow row, bool lengths, bool bothWays, string op)
        where TRow : struct, IContrastRow
    {
        var (y, n, device) = (Tensor.Empty(images.Device, new Shape(), madeBy: op), images.Shape[0], images.Device);
        var (u, w) = (Tensor.Empty(device, images.Shape, madeBy: op), Tensor.Empty(device, texts.Shape, madeBy: op));
        // On the CPU rows begin at a cache line; cuBLASLt is given matrices without gaps.
        var cosines = Tensor.Empty(device, new Shape(n, device is CpuDevice ? (n + 15) & ~15 : n), madeBy: op);
        var (sizes, dSizes) = (Tensor.Empty(device, new Shape(2, n), madeBy: op), Tensor.Zeros(device, new Shape(2, n), madeBy: op));
        device.Run(images.DType, new ContrastForward<TRow>(y, u, w, cosines, sizes, dSizes, images, texts, identities, row, lengths, bothWays));
        return Tape.Record(y, [images, texts], dy =>
        {
            var dv = images.NeedsGrad ? Tensor.Like(images, op) : null;
            var dt = texts.NeedsGrad ? Tensor.Like(texts, op) : null;
            if (dv != null) device.Run(images.DType, new ContrastBackward(dv, dy, cosines, u, w, sizes, dSizes, side: 0));
            if (dt != null) device.Run(images.DType, new ContrastBackward(dt, dy, cosines, w, u, sizes, dSizes, side: 1));
            return [dv, dt];
        }, [u, w, cosines, sizes, dSizes], op);
    }
}

file readonly unsafe struct ContrastForward<TRow>(
    Tensor y, Tensor u, Tensor w, Tensor cosines, Tensor sizes, Tensor dSizes,
    Tensor images, Tensor texts, Tensor? identities, TRow row, bool lengths, bool bothWays) : IKernel
    where TRow : struct, IContrastRow
{
    // An exp is about 20 operations, and a score takes two where it is one of a softmax.
    public Work Work => new("contrast_forward", 2 * (images.Bytes + texts.Bytes) + cosines.Bytes + sizes.Bytes + dSizes.Bytes,
        cosines.Count * (2.0 * images.Cols + (bothWays ? 80 : 40)));

    public void Run(CudaDevice gpu, DType type)
    {
        var (n, d) = (images.Shape[0], images.Shape[1]);
        ReadOnlySpan<Define> constants = [("ROW", row.Cuda.Name)];
        var ways = bothWays ? 2 : 1;
        ReadOnlySpan<Define> sides = [("TYPE", type), ("OWN", DType.F32)];
        gpu.Launch("contrast_sides", "contrast_normalize", sides, Launch.WarpPerRow(n), u, sizes, images, n, d, 0);
        gpu.Launch("contrast_sides", "contrast_normalize", sides, Launch.WarpPerRow(n), w, sizes, texts, n, d, n);
        gpu.Gemm.Run(cosines, u, w, false, true, n, n, d);
        using var losses = gpu.Scratch((long)ways * n);
        if (bothWays)
        {
            using var turned = gpu.Scratch((long)n * n);
            var tiles = Launch.Grid((long)Launch.Blocks(n, 32) * Launch.Blocks(n, 32)).Of(32, 8);
            gpu.Launch("contrast", "contrast_turn", constants, tiles, turned, cosines, n, 0);
            Losses(gpu, constants, losses, cosines, 0);
            Losses(gpu, constants, losses, turned, n);
            gpu.Launch("contrast", "contrast_turn", constants, tiles, cosines, turned, n, 1);
        }
        else Losses(gpu, constants, losses, cosines, 0);
        gpu.Launch("contrast", "contrast_total", constants, Launch.Grid(1).Of(256), y, losses, ways * n, n);
    }

    /// <summary>The rows' losses from place <paramref name="first"/> on; each row of cosines is overwritten with its gradient.</summary>
    private void Losses(CudaDevice gpu, ReadOnlySpan<Define> constants, KernelArgument losses, KernelArgument all, int first)
    {
        var (_, a, b, c, d) = row.Cuda;
        gpu.Launch(
            "contrast", "contrast_rows", constants, Launch.BlockPerRow(images.Shape[0], 128),
            losses, dSizes, all, sizes, identities, images.Shape[0], first, lengths ? 1 : 0, a, b, c, d);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        int n = images.Shape[0], d = images.Shape[1], stride = cosines.Cols;
        float* c = cosines.F32, size = sizes.F32, dSize = dSizes.F32;
        ContrastRows.Normalize<V, T>(cpu, u.F32, size, images.At<T>(), n, d);
        ContrastRows.Normalize<V, T>(cpu, w.F32, size + n, texts.At<T>(), n, d);
        Gemm.Run<V, F32, F32, F32>(cpu, false, true, n, n, d, u.At<F32>(), d, w.At<F32>(), d, cosines.At<F32>(), stride);
        double total;
        if (bothWays)
        {
            using var turned = cpu.Scratch((long)n * stride);
            ContrastRows.Turn(cpu, turned.At, c, n, stride, false);
            total = Losses<V>(cpu, c, size, dSize) + Losses<V>(cpu, turned.At, size + n, dSize + n);
            ContrastRows.Turn(cpu, c, turned.At, n, stride, true);
        }
        else total = Losses<V>(cpu, c, size, dSize);
        *y.F32 = (float)(total / n);
    }

    /// <summary>Σ of the rows' losses, in F64 and in their order; each row is overwritten with its gradient.</summary>
    private double Losses<V>(CpuDevice cpu, float* all, float* length, float* dLength) where V : struct, IVector<V>
    {
        int n = images.Shape[0], stride = cosines.Cols;
        var ids = identities == null ? null : identities.I32;
        var (loss, scaled) = (row, lengths);
        using var scratch = cpu.Scratch(2L * n);
        var losses = (double*)scratch.At;
        cpu.ForRange(n, ContrastRows.PerTask, (from, to) =>
        {
            for (var i = (int)from; i < to; i++)
            {
                losses[i] = loss.Row<V>(i, all + (nint)i * stride, n, ids, scaled ? length[i] : 1f, out var dFactor);
                dLength[i] = scaled ? dFactor : 0f;
            }
        });
        double sum = 0;
        for (var i = 0; i < n; i++) sum += losses[i];
        return sum;
    }
}

/// <summary>dx from the gradient of the cosines: <paramref name="own"/> is x's normalised form and its side, 0 for rows, 1 for columns.</summary>
file readonly unsafe struct ContrastBackward(
    Tensor dx, Tensor dy, Tensor dCosines, Tensor own, Tensor other, Tensor sizes, Tensor dSizes, int side) : IKernel
{
    public Work Work => new("contrast_backward", dCosines.Bytes + own.Bytes + other.Bytes + dx.Bytes, 2.0 * dCosines.Count * dx.Cols);

    public void Run(CudaDevice gpu, DType type)
    {
        var (n, d) = (own.Shape[0], own.Shape[1]);
        var g = type == DType.F32 ? dx : Tensor.Empty(gpu, dx.Shape, madeBy: "contrast");
        gpu.Gemm.Run(g, dCosines, other, side == 1, false, n, d, n);
        gpu.Launch(
            "contrast_sides", "contrast_combine", [("TYPE", type), ("OWN", DType.F32)], Launch.WarpPerRow(n),
            dx, dy, g, own, null, sizes, dSizes, n, n, d, side * n);
        if (type != DType.F32) g.Release();
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        int n = own.Shape[0], d = own.Shape[1];
        using var scratch = cpu.Scratch(typeof(T) == typeof(F32) ? 0 : dx.Count);
        var g = typeof(T) == typeof(F32) ? dx.F32 : scratch.At;
        Gemm.Run<V, F32, F32, F32>(cpu, side == 1, false, n, d, n, dCosines.At<F32>(), dCosines.Cols, other.At<F32>(), d, (F32*)g, d);
        ContrastRows.Combine<V, T, F32>(cpu, dx.At<T>(), g, own.At<F32>(), null, sizes.F32 + (nint)side * n, dSizes.F32 + (nint)side * n, n, d, *dy.F32 / n);
    }
}

/// <summary>What stands around the products: rows of length one, and a square turned.</summary>
internal static unsafe class ContrastRows
{
    public const int PerTask = 8;

    /// <summary>u = x/|x| by rows, and the lengths; 0 for a row without direction.</summary>
    public static void Normalize<V, T>(CpuDevice cpu, float* u, float* size, T* x, int rows, int cols)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> =>
        cpu.ForRange(rows, PerTask, (from, to) =>
        {
            for (var i = from; i < to; i++)
            {
                size[i] = MathF.Sqrt(Rows.SumSquares<V, T>(x + i * cols, cols));
                Loop.Run<V, Scale<T>>(new(u + i * cols, x + i * cols, size[i] > 0 ? 1f / size[i] : 0f), 0, cols);
            }
        });

    /// <summary>
    /// dx = scale·((g − û(û·g)/|û|²)·|û|/|x| + dSize·û/|û|) by rows, g the gradient by û; 0 for a row without direction.
    /// <paramref name="inverse"/> is 1/|û|, or null where that is 1.
    /// </summary>
    public static void Combine<V, T, TOwn>(CpuDevice cpu, T* dx, float* g, TOwn* own, float* inverse, float* size, float* dSize, int rows, int cols, float scale)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
        where TOwn : unmanaged, IElement<TOwn> =>
        cpu.ForRange(rows, PerTask, (from, to) =>
        {
            for (var i = from; i < to; i++)
            {
                var gi = g + i * cols;
                var by = inverse == null ? 1f : inverse[i];
                var outer = size[i] > 0 ? scale / (size[i] * by) : 0f;
                var dot = Loop.Sum<V, Product<TOwn>>(new(gi, own + i * cols), cols);
                Loop.Run<V, Joined<T, TOwn>>(new(dx + i * cols, gi, own + i * cols, outer, scale * dSize[i] * by - outer * by * by * dot), 0, cols);
            }
        });

    /// <summary>to = fromᵀ, or to += fromᵀ.</summary>
    /// <remarks>Sixteen columns of the source at a time: each of its cache lines is read once.</remarks>
    public static void Turn(CpuDevice cpu, float* to, float* from, int n, int stride, bool add) =>
        cpu.ForRange(n, 16, (r0, r1) => TurnRows(to, from, (int)r0, (int)r1, n, stride, add));

    private static void TurnRows(float* to, float* from, int r0, int r1, int n, nint stride, bool add)
    {
        for (var j = 0; j < n; j++)
            for (var i = r0; i < r1; i++)
                to[i * stride + j] = from[j * stride + i] + (add ? to[i * stride + j] : 0f);
    }

    private readonly struct Scale<T>(float* y, T* x, float by) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long k) where V : struct, IVector<V> => (T.Load<V>(x + k) * V.Create(by)).Store(y + k);
    }

    private readonly struct Product<T>(float* g, T* u) : ITerm where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V At<V>(long k) where V : struct, IVector<V> => V.Load(g + k) * T.Load<V>(u + k);
    }

    private readonly struct Joined<T, TOwn>(T* dx, float* g, TOwn* u, float outer, float along) : ILoop
        where T : unmanaged, IElement<T>
        where TOwn : unmanaged, IElement<TOwn>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long k) where V : struct, IVector<V> =>
            T.Store(V.Fma(V.Load(g + k), V.Create(outer), TOwn.Load<V>(u + k) * V.Create(along)), dx + k);
    }
}
