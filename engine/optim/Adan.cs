using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Adaptive Nesterov momentum.                               Xie et al., arXiv:2208.06677, algorithm 1
//   δ = g − g₋₁ (0 in the first step),  m = β₁m + (1−β₁)g,  d = β₂d + (1−β₂)δ,  n = β₃n + (1−β₃)(g + β₂δ)²
//   p = [p − η·(m/(1−β₁ᵗ) + β₂·d/(1−β₂ᵗ)) / (√(n/(1−β₃ᵗ)) + ε)] / (1 + ηλ)
// The paper writes 1−β for these β and starts m, n from the first gradient; zeros and the corrections by 1−βᵗ are the
// authors' published program, which PLIP trained with.
// Cost: one pass, 44 bytes an element (p, m, d, n and g₋₁ read and written, g read), 46 with a BF16 or F16 copy: bound by memory.
/// <summary>Adan, PLIP's optimiser.</summary>
public sealed class Adan : Optimizer
{
    private readonly float _beta1, _beta2, _beta3, _eps;

    /// <summary>With the authors' defaults.</summary>
    /// <exception cref="ArgumentException">A β outside [0, 1), ε not above 0, or a negative decay.</exception>
    public Adan(
        ParameterStore store, float beta1 = 0.98f, float beta2 = 0.92f, float beta3 = 0.99f, float eps = 1e-8f, float weightDecay = 0.02f)
        : base(store, weightDecay, "exp_avg", "exp_avg_diff", "exp_avg_sq", "previous_grad") =>
        (_beta1, _beta2, _beta3, _eps) = (Beta(beta1, "beta1"), Beta(beta2, "beta2"), Beta(beta3, "beta3"), Epsilon(eps));

    /// <inheritdoc/>
    private protected override void Prepare(Span<float> constants, float rate, float weightDecay, float gradScale) => Write(constants, new Constants(
        gradScale, _beta1, _beta2, _beta3, _eps,
        First: Number == 1 ? 1 : 0,
        Rate: (float)(rate / (1 - Math.Pow(_beta1, Number))),
        DifferenceRate: (float)(rate * _beta2 / (1 - Math.Pow(_beta2, Number))),
        RootScale: (float)(1 / Math.Sqrt(1 - Math.Pow(_beta3, Number))),
        Shrink: (float)(1 / (1 + (double)rate * weightDecay))));

    /// <inheritdoc/>
    private protected override void Update(in FlatUpdate update) =>
        Store.Device.Run(Store.Compute.DType, new AdanKernel(Store, Moment(0), Moment(1), Moment(2), Moment(3), update));

    /// <summary>As kernels/optimizers.cu lays them out; First is 1 in the first update.</summary>
    internal readonly record struct Constants(
        float GradScale, float Beta1, float Beta2, float Beta3, float Eps, float First, float Rate, float DifferenceRate, float RootScale, float Shrink);
}

/// <summary>Launched with the type of the compute copy, F32 when there is none.</summary>
file readonly unsafe struct AdanKernel(
    ParameterStore store, Tensor mean, Tensor difference, Tensor square, Tensor previous, FlatUpdate update) : IKernel
{
    public Work Work => new("adan", update.Range.Count * (44 + store.ComputeBytes), 24.0 * update.Range.Count);

    public void Run(CudaDevice gpu, DType type) => gpu.Launch(
        "optimizers", "adan", [("TYPE", type), ("COPY", store.ComputeBytes > 0)], update.Launch, store.Values, store.ComputeCopy,
        mean, difference, square, previous, store.Grads, update.Constants, update.Norm, update.Refused, update.Slot, update.Range.Offset, update.Range.Count);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        if (update.Refuses()) return;
        var (at, c) = (update.Range.Offset, update.Read<Adan.Constants>());
        c = c with { GradScale = update.Scaled(c.GradScale) };
        cpu.Loop<V, Body<T>>(update.Range.Count, new(
            store.Values.F32 + at, store.Compute.At<T>() + at, store.Grads.F32 + at,
            mean.F32 + at, difference.F32 + at, square.F32 + at, previous.F32 + at, c));
    }

    private readonly struct Body<T>(float* p, T* copy, float* g, float* m, float* d, float* n, float* last, Adan.Constants c) : ILoop
        where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            var grad = V.Load(g + i) * V.Create(c.GradScale);
            var delta = c.First != 0 ? default : grad - V.Load(last + i);
            grad.Store(last + i);
            var ahead = V.Fma(delta, V.Create(c.Beta2), grad);
            var vm = V.Load(m + i) * V.Create(c.Beta1) + grad * V.Create(1 - c.Beta1);
            var vd = V.Load(d + i) * V.Create(c.Beta2) + delta * V.Create(1 - c.Beta2);
            var vn = V.Load(n + i) * V.Create(c.Beta3) + ahead * ahead * V.Create(1 - c.Beta3);
            vm.Store(m + i);
            vd.Store(d + i);
            vn.Store(n + i);
            var root = V.Fma(V.Sqrt(vn), V.Create(c.RootScale), V.Create(c.Eps));
            var value = (V.Load(p + i) - (vm * V.Create(c.Rate) + vd * V.Create(c.DifferenceRate)) / root) * V.Create(c.Shrink);
            value.Store(p + i);
            if (T.Type != DType.F32) T.Store(value, copy + i);
        }
    }
}
