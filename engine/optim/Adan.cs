using System.Runtime.Intrinsics;

namespace Plip.Engine;

// Adaptive Nesterov momentum.                               Xie et al., arXiv:2208.06677, algorithm 1
//   δ = g − g₋₁ (0 in the first step),  m = β₁m + (1−β₁)g,  d = β₂d + (1−β₂)δ,  n = β₃n + (1−β₃)(g + β₂δ)²
//   p = [p − η·(m/(1−β₁ᵗ) + β₂·d/(1−β₂ᵗ)) / (√(n/(1−β₃ᵗ)) + ε)] / (1 + ηλ)
// The paper writes 1−β for these β and starts m, n from the first gradient; zeros and the corrections by 1−βᵗ are the
// authors' published program, which PLIP trained with.
// Cost: one pass, 44 bytes an element (p, m, d, n and g₋₁ read and written, g read): bound by memory.
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
    private protected override void Update(FlatRange range, float rate, float weightDecay, float gradScale)
    {
        var constants = new Constants(
            gradScale, _beta1, _beta2, _beta3, _eps, StepCount == 1,
            Rate: (float)(rate / (1 - Math.Pow(_beta1, StepCount))),
            DifferenceRate: (float)(rate * _beta2 / (1 - Math.Pow(_beta2, StepCount))),
            RootScale: (float)(1 / Math.Sqrt(1 - Math.Pow(_beta3, StepCount))),
            Shrink: (float)(1 / (1 + (double)rate * weightDecay)));
        Store.Device.Run(cpu: cpu => AdanCpu.Update(cpu, Store.Values, Store.Grads, Moment(0), Moment(1), Moment(2), Moment(3), range, constants));
    }

    internal readonly record struct Constants(
        float GradScale, float Beta1, float Beta2, float Beta3, float Eps, bool First, float Rate, float DifferenceRate, float RootScale, float Shrink);
}

file static unsafe class AdanCpu
{
    public static void Update(
        CpuDevice cpu, Tensor values, Tensor grads, Tensor mean, Tensor difference, Tensor square, Tensor previous, FlatRange range, Adan.Constants c)
    {
        float* p = values.F32 + range.Offset, g = grads.F32 + range.Offset, m = mean.F32 + range.Offset;
        float* d = difference.F32 + range.Offset, n = square.F32 + range.Offset, last = previous.F32 + range.Offset;
        cpu.ForRange(range.Count, CpuDevice.Grain, (from, to) =>
        {
            for (var i = from; i < to; i += 16)
            {
                var grad = Vector512.Load(g + i) * c.GradScale;
                var delta = c.First ? Vector512<float>.Zero : grad - Vector512.Load(last + i);
                grad.Store(last + i);
                var ahead = grad + delta * c.Beta2;
                var vm = Vector512.Load(m + i) * c.Beta1 + grad * (1 - c.Beta1);
                var vd = Vector512.Load(d + i) * c.Beta2 + delta * (1 - c.Beta2);
                var vn = Vector512.Load(n + i) * c.Beta3 + ahead * ahead * (1 - c.Beta3);
                vm.Store(m + i);
                vd.Store(d + i);
                vn.Store(n + i);
                var root = Vector512.Sqrt(vn) * c.RootScale + Vector512.Create(c.Eps);
                ((Vector512.Load(p + i) - (vm * c.Rate + vd * c.DifferenceRate) / root) * c.Shrink).Store(p + i);
            }
        });
    }
}
