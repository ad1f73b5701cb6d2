using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

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
    /// <summary>Euclidean distance between pictures, a scalar. F32.</summary>
    /// <param name="pred">Pictures (N, …), usually (N, H, W, C).</param>
    /// <param name="target">What they should be, same shape.</param>
    /// <param name="reduction">Norm by picture, or squares.</param>
    /// <exception cref="ArgumentException">Shapes differ or there are no elements.</exception>
    public static Tensor EuclideanLoss(Tensor pred, Tensor target, EuclideanReduction reduction = EuclideanReduction.PerImageNorm) =>
        PictureLoss(pred, target, nameof(EuclideanLoss), false, (sum, n, p) => reduction switch
        {
            EuclideanReduction.PerImageNorm => (Math.Sqrt(sum) / n, sum > 0 ? 1 / (n * Math.Sqrt(sum)) : 0),
            EuclideanReduction.MeanSquare => (sum / (n * p), 2 / (n * p)),
            _ => (sum / n, 2 / n),
        });

    /// <summary>Manhattan distance between pictures, a scalar. F32.</summary>
    /// <param name="pred">Pictures (N, …), usually (N, H, W, C).</param>
    /// <param name="target">What they should be, same shape.</param>
    /// <param name="reduction">Sum by picture, or mean.</param>
    /// <exception cref="ArgumentException">Shapes differ or there are no elements.</exception>
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
        Require.That(pred.Shape.Rank > 0 && pred.Count > 0, $"expected pictures (N, ...), got {pred.Shape}", op);
        var y = Tensor.Empty(pred.Device, new Shape(), madeBy: op);
        var factors = Tensor.Empty(pred.Device, new Shape(pred.Shape[0]), madeBy: op);
        y.Device.Run(cpu: cpu => PictureLossCpu.Forward(cpu, y, factors, pred, target, absolute, reduce));
        return Tape.Record(y, [pred, target], dy =>
        {
            var dp = pred.NeedsGrad ? Tensor.Like(pred, op) : null;
            var dt = target.NeedsGrad ? Tensor.Like(target, op) : null;
            y.Device.Run(cpu: cpu =>
            {
                if (dp != null) PictureLossCpu.Backward(cpu, dp, dy, factors, pred, target, absolute);
                if (dt != null) PictureLossCpu.Backward(cpu, dt, dy, factors, target, pred, absolute);
            });
            return [dp, dt];
        }, [factors], op);
    }
}

file static unsafe class PictureLossCpu
{
    public static void Forward(
        CpuDevice cpu, Tensor y, Tensor factors, Tensor pred, Tensor target, bool absolute,
        Func<double, double, double, (double Loss, double Factor)> reduce)
    {
        float* a = pred.F32, b = target.F32, f = factors.F32;
        int n = pred.Shape[0], blocks = BlocksOf(pred);
        var size = pred.Count / n;
        var partial = new double[n * (long)blocks];
        cpu.For(n * blocks, k =>
        {
            long at = k % blocks * (long)CpuDevice.Grain, o = k / blocks * size + at;
            var count = (int)Math.Min(CpuDevice.Grain, size - at);
            partial[k] = absolute ? SumAbsolute(a + o, b + o, count) : SumSquares(a + o, b + o, count);
        });
        double loss = 0;
        for (var i = 0; i < n; i++)
        {
            double sum = 0;
            for (var k = 0; k < blocks; k++) sum += partial[i * (long)blocks + k];
            var (share, factor) = reduce(sum, n, size);
            loss += share;
            f[i] = (float)factor;
        }
        *y.F32 = (float)loss;
    }

    public static void Backward(CpuDevice cpu, Tensor da, Tensor dy, Tensor factors, Tensor first, Tensor second, bool absolute)
    {
        float* p = da.F32, a = first.F32, b = second.F32, f = factors.F32;
        int n = da.Shape[0], blocks = BlocksOf(da);
        var size = da.Count / n;
        var seed = *dy.F32;
        cpu.For(n * blocks, k =>
        {
            long at = k % blocks * (long)CpuDevice.Grain, o = k / blocks * size + at;
            var count = (int)Math.Min(CpuDevice.Grain, size - at);
            if (absolute) Sign(p + o, a + o, b + o, seed * f[k / blocks], count);
            else Difference(p + o, a + o, b + o, seed * f[k / blocks], count);
        });
    }

    private static int BlocksOf(Tensor x) => checked((int)((x.Count / x.Shape[0] + CpuDevice.Grain - 1) / CpuDevice.Grain));

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double SumSquares(float* a, float* b, int n)
    {
        Vector512<float> s0 = default, s1 = default;
        var i = 0;
        for (; i <= n - 32; i += 32)
        {
            var d0 = Vector512.Load(a + i) - Vector512.Load(b + i);
            var d1 = Vector512.Load(a + i + 16) - Vector512.Load(b + i + 16);
            s0 = Vector512.FusedMultiplyAdd(d0, d0, s0);
            s1 = Vector512.FusedMultiplyAdd(d1, d1, s1);
        }
        double sum = Vector512.Sum(s0 + s1);
        for (; i < n; i++) sum += (double)(a[i] - b[i]) * (a[i] - b[i]);
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double SumAbsolute(float* a, float* b, int n)
    {
        Vector512<float> s0 = default, s1 = default;
        var i = 0;
        for (; i <= n - 32; i += 32)
        {
            s0 += Vector512.Abs(Vector512.Load(a + i) - Vector512.Load(b + i));
            s1 += Vector512.Abs(Vector512.Load(a + i + 16) - Vector512.Load(b + i + 16));
        }
        double sum = Vector512.Sum(s0 + s1);
        for (; i < n; i++) sum += Math.Abs(a[i] - b[i]);
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Difference(float* d, float* a, float* b, float factor, int n)
    {
        var i = 0;
        for (; i <= n - 16; i += 16) ((Vector512.Load(a + i) - Vector512.Load(b + i)) * factor).Store(d + i);
        for (; i < n; i++) d[i] = (a[i] - b[i]) * factor;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Sign(float* d, float* a, float* b, float factor, int n)
    {
        var (up, zero) = (Vector512.Create(factor), Vector512<float>.Zero);
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            var e = Vector512.Load(a + i) - Vector512.Load(b + i);
            var below = Vector512.ConditionalSelect(Vector512.LessThan(e, zero), -up, zero);
            Vector512.ConditionalSelect(Vector512.GreaterThan(e, zero), up, below).Store(d + i);
        }
        for (; i < n; i++)
        {
            var e = a[i] - b[i];
            d[i] = e > 0 ? factor : e < 0 ? -factor : 0f;
        }
    }
}
