using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>How <see cref="Ops.EuclideanLoss"/> reduces squared differences.</summary>
public enum EuclideanReduction
{
    /// <summary>Mean over the batch of each picture's L2 norm over all its pixels and channels: the paper's.</summary>
    PerImageNorm,

    /// <summary>Mean of the squares over all elements.</summary>
    MeanSquare,

    /// <summary>Mean over the batch of each picture's sum of squares.</summary>
    SumSquare,
}

/// <summary>How <see cref="Ops.ManhattanLoss"/> reduces absolute differences.</summary>
public enum ManhattanReduction
{
    /// <summary>Mean over the batch of each picture's L1 norm over all its pixels and channels.</summary>
    PerImage,

    /// <summary>Mean over all elements.</summary>
    Mean,
}

// Distance of pictures from their targets, e = pred − target, P elements a picture, N pictures.
//   Euclidean  1/N Σₙ‖eₙ‖₂ → e/(N‖eₙ‖), 0 where the norm is 0;  1/NP Σe² → 2e/NP;  1/N Σe² → 2e/N
//   Manhattan  1/N Σ|e| or 1/NP Σ|e| → sign(e)/N or /NP, 0 where e is 0
//   saved      pred, target and one factor a picture; e is recomputed
// Cost: forward 2 reads, backward 2 reads and 1 write (2 with a gradient for the target too).
// Order: fixed blocks in F32 vectors, blocks in F64.
public static partial class Ops
{
    /// <summary>Euclidean distance between pictures, an F32 scalar. Both pictures F32 or both BF16.</summary>
    /// <param name="pred">Pictures (N, …), usually (N, H, W, C).</param>
    /// <param name="target">What they should be, same shape.</param>
    /// <param name="reduction">Norm by picture, or squares.</param>
    /// <exception cref="ArgumentException">Shapes or types differ or there are no elements.</exception>
    public static Tensor EuclideanLoss(Tensor pred, Tensor target, EuclideanReduction reduction = EuclideanReduction.PerImageNorm) =>
        PictureLoss(pred, target, nameof(EuclideanLoss), false, (n, p) => reduction switch
        {
            EuclideanReduction.PerImageNorm => new(true, 1 / n, 1 / n),
            EuclideanReduction.MeanSquare => new(false, 1 / (n * p), 2 / (n * p)),
            _ => new(false, 1 / n, 2 / n),
        });

    /// <summary>Manhattan distance between pictures, an F32 scalar. Both pictures F32 or both BF16.</summary>
    /// <param name="pred">Pictures (N, …), usually (N, H, W, C).</param>
    /// <param name="target">What they should be, same shape.</param>
    /// <param name="reduction">Sum by picture, or mean.</param>
    /// <exception cref="ArgumentException">Shapes or types differ or there are no elements.</exception>
    public static Tensor ManhattanLoss(Tensor pred, Tensor target, ManhattanReduction reduction = ManhattanReduction.PerImage) =>
        PictureLoss(pred, target, nameof(ManhattanLoss), true, (n, p) =>
        {
            var weight = reduction == ManhattanReduction.PerImage ? 1 / n : 1 / (n * p);
            return new(false, weight, weight);
        });

    // reduce: from N and P to what a picture's Σe² or Σ|e| is worth.
    private static Tensor PictureLoss(
        Tensor pred, Tensor target, string op, bool absolute, Func<double, double, PictureReduction> reduce)
    {
        Require.SameShape(pred, target, op);
        Require.Type(target, pred.DType, op);
        Require.That(pred.Shape.Rank > 0 && pred.Count > 0, $"expected pictures (N, ...), got {pred.Shape}", op);
        var y = Tensor.Empty(pred.Device, new Shape(), madeBy: op);
        var factors = Tensor.Empty(pred.Device, new Shape(pred.Shape[0]), madeBy: op);
        y.Device.Run(pred.DType, new PictureLossForward(y, factors, pred, target, absolute, reduce(pred.Shape[0], pred.Count / pred.Shape[0])));
        return Tape.Record(y, [pred, target], dy =>
        {
            var dp = pred.NeedsGrad ? Tensor.Like(pred, op) : null;
            var dt = target.NeedsGrad ? Tensor.Like(target, op) : null;
            if (dp != null) dp.Device.Run(dp.DType, new PictureLossBackward(dp, dy, factors, pred, target, absolute));
            if (dt != null) dt.Device.Run(dt.DType, new PictureLossBackward(dt, dy, factors, target, pred, absolute));
            return [dp, dt];
        }, [factors], op);
    }
}

file readonly unsafe struct PictureLossForward(
    Tensor y, Tensor factors, Tensor pred, Tensor target, bool absolute, PictureReduction reduction) : IKernel
{
    public Work Work => Work.On("picture_loss_forward", 3, pred, target);

    public void Run(CudaDevice gpu, DType type)
    {
        int n = pred.Shape[0], blocks = PictureBlocks.PerLaunch(pred);
        var (size, pack) = (pred.Count / n, PictureBlocks.Packed(type, pred, target));
        ReadOnlySpan<Define> constants = [("TYPE", type), ("PACK", pack), ("ABSOLUTE", absolute)];
        using var partial = gpu.Scratch((long)n * blocks);
        gpu.Launch("picture_loss", "picture_loss_sums", constants, Launch.Grid((long)n * blocks).Of(256), partial, pred, target, size, blocks);
        gpu.Launch(
            "picture_loss", "picture_loss_total", constants, Launch.Grid(1).Of(256),
            y, factors, partial, n, blocks, reduction.Norm ? 1 : 0, (float)reduction.Share, (float)reduction.Factor);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* a = pred.At<T>(), b = target.At<T>();
        var f = factors.F32;
        int n = pred.Shape[0], blocks = PictureBlocks.PerPicture(pred);
        var (size, sign) = (pred.Count / n, absolute);
        using var scratch = cpu.Scratch((long)n * blocks);
        var partial = scratch.At;
        cpu.For(n * blocks, k =>
        {
            var (o, count) = PictureBlocks.Range(k, blocks, size);
            partial[k] = sign
                ? Loop.Sum<V, AbsoluteTerm<T>>(new(a + o, b + o), count)
                : Loop.Sum<V, SquareTerm<T>>(new(a + o, b + o), count);
        });
        double loss = 0;
        for (var i = 0; i < n; i++)
        {
            double sum = 0;
            for (var k = 0; k < blocks; k++) sum += partial[(long)i * blocks + k];
            var (share, factor) = reduction.Of(sum);
            loss += share;
            f[i] = (float)factor;
        }
        *y.F32 = (float)loss;
    }

    private readonly struct SquareTerm<T>(T* a, T* b) : ITerm where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V At<V>(long i) where V : struct, IVector<V>
        {
            var e = T.Load<V>(a + i) - T.Load<V>(b + i);
            return e * e;
        }
    }

    private readonly struct AbsoluteTerm<T>(T* a, T* b) : ITerm where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V At<V>(long i) where V : struct, IVector<V> => V.Abs(T.Load<V>(a + i) - T.Load<V>(b + i));
    }
}

/// <summary>The gradient of the first of two pictures.</summary>
file readonly unsafe struct PictureLossBackward(
    Tensor da, Tensor dy, Tensor factors, Tensor first, Tensor second, bool absolute) : IKernel
{
    public Work Work => Work.On("picture_loss_backward", 2, da, first, second);

    public void Run(CudaDevice gpu, DType type)
    {
        int n = da.Shape[0], blocks = PictureBlocks.PerLaunch(da);
        var pack = PictureBlocks.Packed(type, first, second, da);
        gpu.Launch(
            "picture_loss", "picture_loss_backward", [("TYPE", type), ("PACK", pack), ("ABSOLUTE", absolute)],
            Launch.Grid((long)n * blocks).Of(256), da, first, second, dy, factors, da.Count / n, blocks);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* d = da.At<T>(), a = first.At<T>(), b = second.At<T>();
        var f = factors.F32;
        int n = da.Shape[0], blocks = PictureBlocks.PerPicture(da);
        var (size, seed, sign) = (da.Count / n, *dy.F32, absolute);
        cpu.For(n * blocks, k =>
        {
            var (o, count) = PictureBlocks.Range(k, blocks, size);
            if (sign) Loop.Run<V, SignLoop<T>>(new(d + o, a + o, b + o, seed * f[k / blocks]), 0, count);
            else Loop.Run<V, DifferenceLoop<T>>(new(d + o, a + o, b + o, seed * f[k / blocks]), 0, count);
        });
    }

    private readonly struct DifferenceLoop<T>(T* d, T* a, T* b, float factor) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => T.Store((T.Load<V>(a + i) - T.Load<V>(b + i)) * V.Create(factor), d + i);
    }

    private readonly struct SignLoop<T>(T* d, T* a, T* b, float factor) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            V x = T.Load<V>(a + i), y = T.Load<V>(b + i);
            T.Store(V.Where(V.Less(y, x), V.Create(factor)) - V.Where(V.Less(x, y), V.Create(factor)), d + i);
        }
    }
}

/// <summary>What a picture's sum s is worth: the share s·Share of the loss and the factor Factor of e or sign(e); with a norm √s·Share and Factor/√s.</summary>
internal readonly record struct PictureReduction(bool Norm, double Share, double Factor)
{
    public (double Loss, double Factor) Of(double sum) =>
        !Norm ? (sum * Share, Factor) : (Math.Sqrt(sum) * Share, sum > 0 ? Factor / Math.Sqrt(sum) : 0);
}

file static class PictureBlocks
{
    /// <summary>Blocks of a picture on a GPU, as in the kernel.</summary>
    public static int PerLaunch(Tensor x) => Launch.Blocks(x.Count / x.Shape[0], 8192);

    /// <summary>Pictures are walked in packs where each begins at a multiple of 16 bytes.</summary>
    public static int Packed(DType type, Tensor a, Tensor b, Tensor? c = null) =>
        a.Count / a.Shape[0] % (16 / type.Size()) == 0 ? Pack.Of(type, a, b, c) : 1;

    public static int PerPicture(Tensor x) => checked((int)((x.Count / x.Shape[0] + CpuDevice.Grain - 1) / CpuDevice.Grain));

    /// <summary>First element and length of block k.</summary>
    public static (long Start, long Count) Range(int k, int perPicture, long size)
    {
        var at = k % perPicture * (long)CpuDevice.Grain;
        return (k / perPicture * size + at, Math.Min(CpuDevice.Grain, size - at));
    }
}
