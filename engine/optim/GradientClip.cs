namespace Plip.Engine;

// The norm of all gradients together, and the factor that clips it.     Pascanu et al., arXiv:1211.5063
//   ‖g‖ = √Σ g²,  factor = min(1, max/(‖g‖ + 1e-6))
// Squares are added in F64: an F32 square overflows at 1.8e19, which would report a large finite gradient as infinite.
// Fixed blocks, merged in order: the same bits for any number of threads. Cost: one read, 4 bytes an element.
/// <summary>Global norm clipping without a pass of its own: the factor goes into the optimiser's.</summary>
public static unsafe class GradientClip
{
    /// <summary>Measures a store's gradients.</summary>
    /// <param name="maxNorm">Largest norm to let through; infinity only measures.</param>
    /// <param name="gradScale">Factor the gradients are due anyway: one over the loss scale or the number of accumulated batches.</param>
    /// <exception cref="ArgumentException"><paramref name="maxNorm"/> is not above 0.</exception>
    public static GradientNorm Measure(ParameterStore store, double maxNorm = double.PositiveInfinity, float gradScale = 1f)
    {
        if (!(maxNorm > 0)) throw new ArgumentException(FormattableString.Invariant($"GradientClip: the largest norm must be above 0, got {maxNorm:R}"));
        double sum = 0;
        store.Device.Run(DType.F32, cpu: new SumSquaresKernel(&sum, store.Grads));
        var norm = Math.Sqrt(sum) * Math.Abs(gradScale);
        return new GradientNorm(norm, (float)(gradScale * Math.Min(1, maxNorm / (norm + 1e-6))));
    }
}

/// <summary>The norm of the gradients and the factor for <see cref="Optimizer.Step"/>.</summary>
/// <param name="Norm">After the caller's own factor, before clipping.</param>
/// <param name="Scale">The caller's factor times the clipping.</param>
public readonly record struct GradientNorm(double Norm, float Scale)
{
    /// <summary>False when a gradient is NaN or infinite: skip the update and, with loss scaling, lower the scale.</summary>
    public bool IsFinite => double.IsFinite(Norm);
}

file readonly unsafe struct SumSquaresKernel(double* sum, Tensor grads) : ICpuKernel
{
    public Work Work => Work.On("sum_squares", 2, grads);

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
        *sum = 0;
        for (var b = 0L; b < blocks; b++) *sum += sums[b];
    }

    private static double Block<V>(float* g, long n) where V : struct, IVector<V>
    {
        var whole = n - n % V.Count;
        return V.SumSquares(g, whole) + Vec1.SumSquares(g + whole, n - whole);
    }
}
