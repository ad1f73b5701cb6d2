using System.Runtime.InteropServices;

namespace Plip.Engine;

// The norm of all gradients together, and the factor that clips it.     Pascanu et al., arXiv:1211.5063
//   ‖g‖ = √Σ g²,  factor = min(1, max/(‖g‖ + 1e-6))
// Squares are added in F64: an F32 square overflows at 1.8e19, which would report a large finite gradient as infinite.
// Fixed blocks, merged in order: the same bits for any number of threads. Cost: one read, 4 bytes an element, which with a loss
// scale is the overflow check and the unscaling as well: the factor the optimiser takes is divided by the scale.
/// <summary>Global norm clipping without a pass of its own: the factor goes into the optimiser's.</summary>
public static class GradientClip
{
    /// <summary>Measures a store's gradients. The result stays on the device until it is read, and is overwritten by the next one.</summary>
    /// <param name="maxNorm">Largest norm to let through; infinity only measures.</param>
    /// <param name="gradScale">Factor the gradients are due anyway: one over the loss scale or the number of accumulated batches.</param>
    /// <param name="scaler">What the loss was multiplied by: norm and factor are those of the gradients divided by it.</param>
    /// <exception cref="ArgumentException"><paramref name="maxNorm"/> is not above 0.</exception>
    public static GradientNorm Measure(ParameterStore store, double maxNorm = double.PositiveInfinity, float gradScale = 1f, LossScaler? scaler = null)
    {
        if (!(maxNorm > 0)) throw new ArgumentException(FormattableString.Invariant($"GradientClip: the largest norm must be above 0, got {maxNorm:R}"));
        var norm = GradientNorm.New(store);
        store.Device.Run(DType.F32, new NormKernel(norm.Result, store.Grads, maxNorm, gradScale, scaler?.Factor));
        return norm;
    }
}

/// <summary>
/// The norm of the gradients and the factor for the optimiser. Handed to <see cref="Optimizer.Step(float, GradientNorm)"/> it is not read; to
/// read any of its numbers waits for the device. They are those of the latest measurement, after the replay of a graph too.
/// </summary>
public readonly struct GradientNorm
{
    private readonly ParameterStore _store;
    private readonly long _measurement;

    private GradientNorm(ParameterStore store) => (_store, _measurement) = (store, ++store.NormMeasurements);

    /// <summary>After the caller's own factor, before clipping.</summary>
    public double Norm => Read().Norm;

    /// <summary>The caller's factor times the clipping.</summary>
    public float Scale => Read().Scale;

    /// <summary>False when a gradient is NaN or infinite: skip the update and, with loss scaling, lower the scale.</summary>
    public bool IsFinite => double.IsFinite(Norm);

    /// <summary>F32 (4): the F64 norm in two words, the factor, and 1 if the norm is finite.</summary>
    internal Tensor Result => _measurement == _store.NormMeasurements
        ? _store.NormResult
        : throw new InvalidOperationException("GradientNorm: the store's gradients were measured again since; use or read a norm before the next GradientClip.Measure");

    internal static GradientNorm New(ParameterStore store) => new(store);

    private (double Norm, float Scale) Read()
    {
        Span<float> words = stackalloc float[4];
        Result.CopyTo(words);
        return (MemoryMarshal.Cast<float, double>(words)[0], words[2]);
    }
}

file readonly unsafe struct NormKernel(Tensor result, Tensor grads, double maxNorm, float gradScale, Tensor? lossScale) : IKernel
{
    public Work Work => Work.On("sum_squares", 2, grads);

    /// <summary>The largest norm and the factor are arguments: they stay for as long as a graph is replayed.</summary>
    public void Run(CudaDevice gpu, DType type)
    {
        const int PerBlock = 16384; // as in the kernel
        var blocks = Launch.Blocks(grads.Count, PerBlock);
        using var partial = gpu.Scratch(2L * blocks);
        gpu.Launch("gradient_clip", "gradient_squares", [], Launch.Grid(blocks).Of(256), partial, grads, grads.Count);
        gpu.Launch("gradient_clip", "gradient_norm", [], Launch.Grid(1).Of(256), result, partial, lossScale, blocks, (float)maxNorm, gradScale);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var g = grads.F32;
        var grain = CpuDevice.GrainOf(grads.Count);
        var blocks = (grads.Count + grain - 1) / grain;
        using var scratch = cpu.Scratch(2 * blocks);
        var sums = (double*)scratch.At;
        cpu.ForRange(grads.Count, grain, (from, to) => sums[from / grain] = Block<V>(g + from, to - from));
        double sum = 0;
        for (var b = 0L; b < blocks; b++) sum += sums[b];
        var scale = lossScale == null ? gradScale : (double)gradScale / *lossScale.F32;
        var norm = Math.Sqrt(sum) * Math.Abs(scale);
        var to = result.F32;
        *(double*)to = norm;
        to[2] = (float)(scale * Math.Min(1, maxNorm / (norm + 1e-6)));
        to[3] = double.IsFinite(norm) ? 1 : 0;
    }

    private static double Block<V>(float* g, long n) where V : struct, IVector<V>
    {
        var whole = n - n % V.Count;
        return V.SumSquares(g, whole) + Vec1.SumSquares(g + whole, n - whole);
    }
}
