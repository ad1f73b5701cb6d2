namespace Plip.Engine;

/// <summary>A flat buffer with the places of a store's trainable parameters, to and from named tensors.</summary>
internal static class FlatState
{
    /// <summary>A zeroed buffer like <see cref="ParameterStore.Values"/>, owned by no step.</summary>
    public static Tensor Zeros(ParameterStore store) => Zeros(store, store.Values.Shape);

    /// <summary>A zeroed buffer beside a store's, owned by no step.</summary>
    public static Tensor Zeros(ParameterStore store, Shape shape, DType type = DType.F32) => Zeros(store.Device, shape, type);

    /// <summary>A zeroed buffer owned by no step.</summary>
    public static Tensor Zeros(Device device, Shape shape, DType type = DType.F32)
    {
        var step = device.CurrentStep;
        device.CurrentStep = null;
        try
        {
            return Tensor.Zeros(device, shape, type);
        }
        finally
        {
            device.CurrentStep = step;
        }
    }

    /// <summary>Appends one tensor for each parameter, in PyTorch's layout.</summary>
    public static void Save(StateDict state, ParameterStore store, Tensor flat, string prefix = "")
    {
        foreach (var place in store.Trainable)
            state.Add(prefix + place.Parameter.Name, ParameterStore.InPyTorchOrder(place.Parameter, flat, place.Offset));
    }

    /// <summary>Fills the buffer from what <see cref="Save"/> wrote.</summary>
    public static void Load(StateDict state, ParameterStore store, Tensor flat, string prefix = "")
    {
        foreach (var place in store.Trainable)
        {
            var view = place.In(flat);
            ParameterStore.FillFrom(place.Parameter, view, state[prefix + place.Parameter.Name]);
            view.Release();
        }
    }

    /// <summary>Throws unless the state holds "step" and, under each prefix, exactly the trainable parameters.</summary>
    public static void Compare(StateDict state, ParameterStore store, params string[] prefixes)
    {
        var missing = new List<(string, Shape)>();
        var mismatched = new List<(string, Shape, Shape)>();
        var known = new HashSet<string>(StringComparer.Ordinal) { "step" };
        if (state.TryGet("step") is not { } step) missing.Add(("step", new Shape()));
        else if (step.Shape.Count != 1 || step.DType != DType.I64) mismatched.Add(("step", new Shape(), step.Shape));
        foreach (var prefix in prefixes)
            foreach (var place in store.Trainable)
            {
                var name = prefix + place.Parameter.Name;
                known.Add(name);
                var from = state.TryGet(name);
                if (from == null) missing.Add((name, place.Parameter.PyTorchShape));
                else if (from.Shape != place.Parameter.PyTorchShape) mismatched.Add((name, place.Parameter.PyTorchShape, from.Shape));
            }
        var unexpected = state.Where(e => !known.Contains(e.Key)).Select(e => (e.Key, e.Value.Shape)).ToList();
        var report = new LoadReport(missing, unexpected, mismatched);
        if (!report.IsExact) throw new StateMismatchException(report);
    }
}
