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
        PictureLoss(pred, target, nameof(EuclideanLoss), false, (sum, n, p) => reduction switch
        {
            EuclideanReduction.PerImageNorm => (Math.Sqrt(sum) / n, sum > 0 ? 1 / (n * Math.Sqrt(sum)) : 0),
            EuclideanReduction.MeanSquare => (sum / (n * p), 2 / (n * p)),
            _ => (sum / n, 2 / n),
        });

    /// <summary>Manhattan distance between pictures, an F32 scalar. Both pictures F32 or both BF16.</summary>
    /// <param name="pred">Pictures (N, …), usually (N, H, W, C).</param>
    /// <param name="target">What they should be, same shape.</param>
    /// <param name="reduction">Sum by picture, or mean.</param>
    /// <exception cref="ArgumentException">Shapes or types differ or there are no elements.</exception>
    public static Tensor ManhattanLoss(Tensor pred, Tensor target, ManhattanReduction reduction = ManhattanReduction.PerImage) =>
        PictureLoss(pred, target, nameof(ManhattanLoss), true, (sum, n, p) =>
        {
            var weight = reduction == ManhattanReduction.PerImage ? 1 / n : 1 / (n * p);
            return (sum * weight, weight);
        });

    // reduce: from a picture's Σe² or Σ|e|, N and P to its share of the loss and the factor of e or sign(e) in the gradient.
    private static Tensor PictureLoss(
        Tensor pred, Tensor target, string op, bool absolute, Func<double, double, double, (double Loss, double Factor)> reduce)
    {
        Require.SameShape(pred, target, op);
        Require.Type(target, pred.DType, op);
        Require.That(pred.Shape.Rank > 0 && pred.Count > 0, $"expected pictures (N, ...), got {pred.Shape}", op);
        var y = Tensor.Empty(pred.Device, new Shape(), madeBy: op);
        var factors = Tensor.Empty(pred.Device, new Shape(pred.Shape[0]), madeBy: op);
        y.Device.Run(pred.DType, cpu: new PictureLossForward(y, factors, pred, target, absolute, reduce));
        return Tape.Record(y, [pred, target], dy =>
        {
            var dp = pred.NeedsGrad ? Tensor.Like(pred, op) : null;
            var dt = target.NeedsGrad ? Tensor.Like(target, op) : null;
            if (dp != null) dp.Device.Run(dp.DType, cpu: new PictureLossBackward(dp, dy, factors, pred, target, absolute));
            if (dt != null) dt.Device.Run(dt.DType, cpu: new PictureLossBackward(dt, dy, factors, target, pred, absolute));
            return [dp, dt];
        }, [factors], op);
    }
}

file readonly unsafe struct PictureLossForward(
    Tensor y, Tensor factors, Tensor pred, Tensor target, bool absolute,
    Func<double, double, double, (double Loss, double Factor)> reduce) : ICpuKernel
{
    public Work Work => Work.On("picture_loss_forward", 3, pred, target);

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
            var (share, factor) = reduce(sum, n, size);
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
    Tensor da, Tensor dy, Tensor factors, Tensor first, Tensor second, bool absolute) : ICpuKernel
{
    public Work Work => Work.On("picture_loss_backward", 2, da, first, second);

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

file static class PictureBlocks
{
    public static int PerPicture(Tensor x) => checked((int)((x.Count / x.Shape[0] + CpuDevice.Grain - 1) / CpuDevice.Grain));

    /// <summary>First element and length of block k.</summary>
    public static (long Start, long Count) Range(int k, int perPicture, long size)
    {
        var at = k % perPicture * (long)CpuDevice.Grain;
        return (k / perPicture * size + at, Math.Min(CpuDevice.Grain, size - at));
    }
}
