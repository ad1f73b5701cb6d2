using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Adam with decoupled weight decay.                       Loshchilov and Hutter, arXiv:1711.05101, algorithm 2
//   m = β₁m + (1−β₁)g,  v = β₂v + (1−β₂)g²
//   p = p·(1 − ηλ) − η·(m/(1−β₁ᵗ)) / (√(v/(1−β₂ᵗ)) + ε)
// Cost: one pass, 28 bytes an element (p, m, v read and written, g read), 30 with a BF16 or F16 copy: bound by memory.
/// <summary>AdamW.</summary>
public sealed class AdamW : Optimizer
{
    private readonly float _beta1, _beta2, _eps;

    /// <summary>With PyTorch's defaults.</summary>
    /// <exception cref="ArgumentException">A β outside [0, 1), ε not above 0, or a negative decay.</exception>
    public AdamW(ParameterStore store, float beta1 = 0.9f, float beta2 = 0.999f, float eps = 1e-8f, float weightDecay = 0.01f)
        : base(store, weightDecay, "exp_avg", "exp_avg_sq") =>
        (_beta1, _beta2, _eps) = (Beta(beta1, "beta1"), Beta(beta2, "beta2"), Epsilon(eps));

    /// <inheritdoc/>
    private protected override void Prepare(Span<float> constants, float rate, float weightDecay, float gradScale) => Write(constants, new Constants(
        gradScale, _beta1, _beta2, _eps,
        Keep: (float)(1 - (double)rate * weightDecay),
        Rate: (float)(rate / (1 - Math.Pow(_beta1, Number))),
        RootScale: (float)(1 / Math.Sqrt(1 - Math.Pow(_beta2, Number)))));

    /// <inheritdoc/>
    private protected override void Update(in FlatUpdate update) =>
        Store.Device.Run(Store.Compute.DType, new AdamWKernel(Store, Moment(0), Moment(1), update));

    /// <summary>As kernels/optimizers.cu lays them out.</summary>
    internal readonly record struct Constants(float GradScale, float Beta1, float Beta2, float Eps, float Keep, float Rate, float RootScale);
}

/// <summary>Launched with the type of the compute copy, F32 when there is none.</summary>
file readonly unsafe struct AdamWKernel(ParameterStore store, Tensor first, Tensor second, FlatUpdate update) : IKernel
{
    public Work Work => new("adamw", update.Range.Count * (28 + store.ComputeBytes), 15.0 * update.Range.Count);

    public void Run(CudaDevice gpu, DType type) => gpu.Launch(
        "optimizers", "adamw", [("TYPE", type), ("COPY", store.ComputeBytes > 0)], update.Launch, store.Values, store.ComputeCopy,
        first, second, store.Grads, update.Constants, update.Norm, update.Refused, update.Slot, update.Range.Offset, update.Range.Count);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        if (update.Refuses()) return;
        var (at, c) = (update.Range.Offset, update.Read<AdamW.Constants>());
        c = c with { GradScale = update.Scaled(c.GradScale) };
        cpu.Loop<V, Body<T>>(
            update.Range.Count, new(store.Values.F32 + at, store.Compute.At<T>() + at, store.Grads.F32 + at, first.F32 + at, second.F32 + at, c));
    }

    private readonly struct Body<T>(float* p, T* copy, float* g, float* m, float* v, AdamW.Constants c) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            var grad = V.Load(g + i) * V.Create(c.GradScale);
            var mean = V.Load(m + i) * V.Create(c.Beta1) + grad * V.Create(1 - c.Beta1);
            var square = V.Load(v + i) * V.Create(c.Beta2) + grad * grad * V.Create(1 - c.Beta2);
            mean.Store(m + i);
            square.Store(v + i);
            var root = V.Fma(V.Sqrt(square), V.Create(c.RootScale), V.Create(c.Eps));
            var value = V.Load(p + i) * V.Create(c.Keep) - mean * V.Create(c.Rate) / root;
            value.Store(p + i);
            if (T.Type != DType.F32) T.Store(value, copy + i);
        }
    }
}
