using System.Runtime.Intrinsics;

namespace Plip.Engine;

// Stochastic gradient descent with momentum, as PyTorch writes it.   Nesterov's form: Sutskever et al., ICML 2013
//   g = g + λp;  b = μb + g;  p = p − η·b, or with Nesterov p − η·(g + μb)
// Cost: one pass, 20 bytes an element.
/// <summary>SGD with momentum; the weight decay is the L2 term of the gradient, scaled by the rate.</summary>
public sealed class Sgd : Optimizer
{
    private readonly float _momentum;
    private readonly bool _nesterov;

    /// <summary>With momentum 0 it is plain descent.</summary>
    /// <exception cref="ArgumentException">A momentum outside [0, 1), or a negative decay.</exception>
    public Sgd(ParameterStore store, float momentum = 0.9f, bool nesterov = false, float weightDecay = 0f)
        : base(store, weightDecay, "momentum_buffer") =>
        (_momentum, _nesterov) = (Beta(momentum, "momentum"), nesterov);

    /// <inheritdoc/>
    private protected override void Update(FlatRange range, float rate, float weightDecay, float gradScale) =>
        Store.Device.Run(cpu: cpu => SgdCpu.Update(cpu, Store.Values, Store.Grads, Moment(0), range, rate, weightDecay, gradScale, _momentum, _nesterov));
}

file static unsafe class SgdCpu
{
    public static void Update(
        CpuDevice cpu, Tensor values, Tensor grads, Tensor buffer, FlatRange range, float rate, float decay, float gradScale, float momentum, bool nesterov)
    {
        float* p = values.F32 + range.Offset, g = grads.F32 + range.Offset, b = buffer.F32 + range.Offset;
        cpu.ForRange(range.Count, CpuDevice.Grain, (from, to) =>
        {
            for (var i = from; i < to; i += 16)
            {
                var value = Vector512.Load(p + i);
                var grad = Vector512.Load(g + i) * gradScale + value * decay;
                var velocity = Vector512.Load(b + i) * momentum + grad;
                velocity.Store(b + i);
                (value - (nesterov ? grad + velocity * momentum : velocity) * rate).Store(p + i);
            }
        });
    }
}
