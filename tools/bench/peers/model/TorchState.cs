using Plip.Configs;
using Plip.Engine;
using Plip.Model;
using TorchSharp;
using Parameter = TorchSharp.Modules.Parameter;

namespace Plip.Bench.Peers;

/// <summary>A PlipModel's initial parameters and buffers as LibTorch's F32 tensors, under the same names. Make it inside a dispose scope.</summary>
internal sealed class TorchState
{
    private readonly Dictionary<string, torch.Tensor> _tensors = new(StringComparer.Ordinal);

    public TorchState(PlipConfig config, TorchLayout layout, bool training)
    {
        using var device = new CpuDevice(1);
        var model = new PlipModel(config);
        using var store = model.Materialize(device, training);
        foreach (var (name, tensor) in store.StateDict())
        {
            if (tensor.DType != DType.F32) continue;
            var shape = tensor.Shape.ToArray();
            var t = torch.tensor(tensor.ToF32(), [.. shape.Select(d => (long)d)]);
            _tensors[name] = shape.Length == 4 ? layout.Lay(t) : t;
        }
        foreach (var (name, parameter) in store.Parameters)
        {
            Count += _tensors[name].numel();
            if (parameter.Frozen) continue;
            var trained = new Parameter(_tensors[name], requires_grad: true);
            _tensors[name] = trained;
            Trained.Add(trained);
        }
    }

    /// <summary>Elements of all parameters.</summary>
    public long Count { get; }

    /// <summary>The parameters that are trained.</summary>
    public List<Parameter> Trained { get; } = [];

    public torch.Tensor this[string name] => _tensors[name];

    public bool Has(string name) => _tensors.ContainsKey(name);

    /// <summary>x·Wᵀ + b of the layer of this name.</summary>
    public torch.Tensor Linear(torch.Tensor x, string name) => torch.nn.functional.linear(x, this[name + ".weight"], this[name + ".bias"]);
}
