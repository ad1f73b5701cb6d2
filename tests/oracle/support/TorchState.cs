using Plip.Engine;
using TorchSharp;
using Xunit;

namespace Plip.Oracle;

/// <summary>A model's parameters and buffers as LibTorch tensors under the same names, to run its forward twice.</summary>
internal sealed class TorchState
{
    private readonly Dictionary<string, torch.Tensor> _tensors = new(StringComparer.Ordinal);
    private readonly ParameterStore _store;

    public TorchState(ParameterStore store)
    {
        _store = store;
        foreach (var (name, tensor) in store.StateDict())
            if (tensor.DType == DType.F32) _tensors[name] = torch.tensor(tensor.ToF32(), [.. tensor.Shape.ToArray().Select(d => (long)d)]);
        foreach (var (name, _) in store.Parameters) _tensors[name].requires_grad = true;
    }

    public torch.Tensor this[string name] => _tensors[name];

    public bool Has(string name) => _tensors.ContainsKey(name);

    /// <summary>Every parameter's gradient, ours against LibTorch's, in PyTorch's order of elements.</summary>
    public void SameGradients(double tolerance)
    {
        foreach (var (name, parameter) in _store.Parameters)
        {
            var theirs = _tensors[name].grad;
            if (theirs is null) continue;
            // Ours lies (R, S, C, K).
            var g = parameter.Layout == ParameterLayout.Conv ? theirs.permute(2, 3, 1, 0) : theirs;
            Torch.Close(g, parameter.Grad, tolerance, $"gradient of {name}");
        }
        Assert.Contains(_store.Parameters, p => _tensors[p.Name].grad is not null);
    }
}
