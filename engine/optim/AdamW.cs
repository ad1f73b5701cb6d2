using System.Runtime.Intrinsics;

namespace Plip.Engine;

// Adam with decoupled weight decay.                       Loshchilov and Hutter, arXiv:1711.05101, algorithm 2
//   m = β₁m + (1−β₁)g,  v = β₂v + (1−β₂)g²
//   p = p·(1 − ηλ) − η·(m/(1−β₁ᵗ)) / (√(v/(1−β₂ᵗ)) + ε)
// Cost: one pass, 28 bytes an element (p, m, v read and written, g read): bound by memory.
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
    private protected override void Update(FlatRange range, float rate, float weightDecay, float gradScale)
    {
        var constants = new Constants(
            gradScale, _beta1, _beta2, _eps,
            Keep: (float)(1 - (double)rate * weightDecay),
            Rate: (float)(rate / (1 - Math.Pow(_beta1, StepCount))),
            RootScale: (float)(1 / Math.Sqrt(1 - Math.Pow(_beta2, StepCount))));
        Store.Device.Run(cpu: cpu => AdamWCpu.Update(cpu, Store.Values, Store.Grads, Moment(0), Moment(1), range, constants));
    }

    internal readonly record struct Constants(float GradScale, float Beta1, float Beta2, float Eps, float Keep, float Rate, float RootScale);
}

file static unsafe class AdamWCpu
{
    public static void Update(CpuDevice cpu, Tensor values, Tensor grads, Tensor first, Tensor second, FlatRange range, AdamW.Constants c)
    {
        float* p = values.F32 + range.Offset, g = grads.F32 + range.Offset, m = first.F32 + range.Offset, v = second.F32 + range.Offset;
        var (b1, b2) = (Vector512.Create(c.Beta1), Vector512.Create(c.Beta2));
        cpu.ForRange(range.Count, CpuDevice.Grain, (from, to) =>
        {
            for (var i = from; i < to; i += 16)
            {
                var grad = Vector512.Load(g + i) * c.GradScale;
                var mean = Vector512.Load(m + i) * b1 + grad * (1 - c.Beta1);
                var square = Vector512.Load(v + i) * b2 + grad * grad * (1 - c.Beta2);
                mean.Store(m + i);
                square.Store(v + i);
                var root = Vector512.Sqrt(square) * c.RootScale + Vector512.Create(c.Eps);
                (Vector512.Load(p + i) * c.Keep - mean * c.Rate / root).Store(p + i);
            }
        });
    }
}
