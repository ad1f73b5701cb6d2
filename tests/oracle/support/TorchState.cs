using Plip.Engine;
using TorchSharp;
using Xunit;

namespace Plip.Oracle;

/// <summary>
/// A model's parameters and buffers as F64 LibTorch tensors under the same names: the forward pass is run twice, by us and
/// by LibTorch. Create it inside a dispose scope.
/// </summary>
internal sealed class TorchState
{
    private readonly Dictionary<string, torch.Tensor> _tensors = new(StringComparer.Ordinal);
    private readonly ParameterStore _store;

    public TorchState(ParameterStore store)
    {
        _store = store;
        foreach (var (name, tensor) in store.StateDict())
            if (tensor.DType == DType.F32) _tensors[name] = Torch.Of(tensor.ToF32(), tensor.Shape.ToArray());
        foreach (var (name, parameter) in store.Parameters) _tensors[name].requires_grad = !parameter.Frozen;
    }

    public torch.Tensor this[string name] => _tensors[name];

    public bool Has(string name) => _tensors.ContainsKey(name);

    /// <summary>x·Wᵀ + b of the layer of this name.</summary>
    public torch.Tensor Linear(torch.Tensor x, string name) => torch.nn.functional.linear(x, this[name + ".weight"], this[name + ".bias"]);

    /// <summary>
    /// Adds noise to every parameter. Freshly made models hide mistakes: biases are 0, scales 1, attention uniform.
    /// </summary>
    public static void Shake(ParameterStore store, float scale)
    {
        var random = new Philox(99, 1);
        var at = 0ul;
        foreach (var (_, parameter) in store.Parameters)
        {
            var values = parameter.Value.ToArray();
            for (var i = 0; i < values.Length; i++) values[i] += scale * random.Normal(at++);
            parameter.Value.CopyFrom<float>(values);
        }
    }

    /// <summary>Every parameter's gradient, ours against LibTorch's, in our order of elements.</summary>
    /// <param name="tolerance">
    /// Relative to the largest magnitude of the parameter's gradient. The gradient of an attention key's bias is zero but for
    /// rounding, so a thousandth of the largest of all is the least to be relative to.
    /// </param>
    public void SameGradients(double tolerance)
    {
        var reached = _store.Parameters.Where(p => _tensors[p.Name].grad is not null).ToList();
        var floor = 1e-3 * reached.Max(p => Torch.Largest(Torch.Values(_tensors[p.Name].grad!)));
        Assert.True(floor > 0, "LibTorch's gradients are all zero");
        foreach (var (name, parameter) in _store.Parameters)
        {
            if (parameter.Frozen) continue;
            if (_tensors[name].grad is not { } theirs)
            {
                Assert.All(parameter.Grad.ToArray(), g => Assert.Equal(0f, g));
                continue;
            }
            // Ours lies (R, S, C, K).
            var g = parameter.Layout == ParameterLayout.Conv ? theirs.permute(2, 3, 1, 0) : theirs;
            Torch.Close(g, parameter.Grad, tolerance, $"gradient of {name}", floor);
        }
    }

    /// <summary>
    /// Adds noise to every vector, and leaves matrices as they start: in a model of full width noise on all of them would drown what it computes.
    /// </summary>
    public static void ShakeVectors(ParameterStore store, float scale)
    {
        var random = new Philox(99, 2);
        var at = 0ul;
        foreach (var (_, parameter) in store.Parameters.Where(p => p.Parameter.Shape.Rank == 1))
        {
            var values = parameter.Value.ToArray();
            for (var i = 0; i < values.Length; i++) values[i] += scale * random.Normal(at++);
            parameter.Value.CopyFrom<float>(values);
        }
    }

    /// <summary>Every parameter's gradient as a whole: ‖ours − LibTorch's‖ within tolerance·‖LibTorch's‖.</summary>
    /// <remarks>
    /// The least to be relative to is the norm of a gradient whose elements are a thousandth of the largest tensor's (by their root mean square). Some gradients are zero by
    /// construction: that of an attention key's bias, or of a shift that a batch norm takes off again. F64 shows them (below 1e-10 of the largest), and ours must be
    /// below 1e-5 of it, which is what F32 leaves of sums over ten thousand places that cancel.
    /// </remarks>
    public void GradientsAreNear(double tolerance)
    {
        static double Rms(torch.Tensor g) => Math.Sqrt(g.square().mean().item<double>());
        var trained = _store.Parameters.Where(p => !p.Parameter.Frozen).ToList();
        var largest = trained.Where(p => _tensors[p.Name].grad is not null).Max(p => Rms(_tensors[p.Name].grad!));
        Assert.True(largest > 0, "LibTorch's gradients are all zero");
        var (worst, where) = (0.0, "");
        foreach (var (name, parameter) in trained)
        {
            using var scope = torch.NewDisposeScope();
            if (_tensors[name].grad is not { } theirs)
            {
                Assert.All(parameter.Grad.ToArray(), g => Assert.Equal(0f, g));
                continue;
            }
            var g = parameter.Layout == ParameterLayout.Conv ? theirs.permute(2, 3, 1, 0) : theirs; // ours lies (R, S, C, K)
            if (Rms(theirs) < 1e-10 * largest)
            {
                var left = Torch.Off(g, parameter.Grad, largest);
                Assert.True(left <= 1e-5, $"gradient of {name}: zero by construction, ours is {left:g3} of the largest");
                continue;
            }
            var off = Torch.Off(g, parameter.Grad, 1e-3 * largest);
            if (!(off <= worst)) (worst, where) = (off, name); // NaN counts as worst
        }
        Assert.True(worst <= tolerance, $"gradient of {where}: off by {worst:g3} of its norm, {tolerance:g3} allowed");
        TestContext.Current.TestOutputHelper?.WriteLine($"gradients: worst {worst:g3} of the norm, of {where}");
    }

    /// <summary>Running statistics after a training pass, which LibTorch's batch norm has updated in place here.</summary>
    public void SameStatistics(double tolerance)
    {
        var compared = 0;
        foreach (var (name, buffer) in _store.StateDict())
        {
            if (!name.Contains(".running_", StringComparison.Ordinal) && !name.StartsWith("running_", StringComparison.Ordinal)) continue;
            using var ours = Torch.Of(buffer.ToF32(), buffer.Shape.ToArray());
            var (a, e) = (Torch.Values(ours), Torch.Values(_tensors[name]));
            var within = tolerance * Torch.Largest(e);
            for (var i = 0; i < e.Length; i++)
                Assert.True(Math.Abs(a[i] - e[i]) <= within, $"{name}: element {i} is {a[i]:R}, LibTorch has {e[i]:R}");
            compared++;
        }
        Assert.True(compared > 0, "there are no running statistics");
    }
}
