using System.Runtime.InteropServices;

namespace Plip.Engine;

public sealed partial class ParameterStore
{
    /// <summary>
    /// The model's parameters and buffers in PyTorch's order, names and layouts. They are read when they are asked for, so
    /// write the state before the next update.
    /// </summary>
    public StateDict StateDict()
    {
        var state = new StateDict();
        AddState(Root, "", state);
        return state;
    }

    /// <summary>
    /// Loads a state. Types other than F32 are converted; counters (num_batches_tracked) may be absent, as in PyTorch's
    /// oldest files, and constants. Nothing is changed before everything was compared.
    /// </summary>
    /// <param name="strict">Any difference is an error; with false what fits is loaded and the report tells the rest.</param>
    /// <returns>What differed.</returns>
    /// <exception cref="StateMismatchException">Strict, and names or shapes differ; lists them with nearest names.</exception>
    /// <exception cref="FormatException">A constant of the model has other numbers in the state: it is of a model that counts differently.</exception>
    public LoadReport Load(StateDict state, bool strict = true)
    {
        var missing = new List<(string, Shape)>();
        var mismatched = new List<(string, Shape, Shape)>();
        var known = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (name, parameter) in Parameters) Compare(name, parameter.PyTorchShape, false);
        foreach (var (name, buffer) in _buffers) Compare(name, buffer.Shape, buffer.DType == DType.I64);
        var unexpected = state.Where(e => !known.Contains(e.Key)).Select(e => (e.Key, e.Value.Shape)).ToList();
        var report = new LoadReport(missing, unexpected, mismatched);
        if (strict && !report.IsExact) throw new StateMismatchException(report);
        foreach (var (name, buffer) in _buffers)
            if (buffer.Constant is { } numbers && state.TryGet(name) is { } from && Same(buffer.Shape, from.Shape) && !from.ToI64().AsSpan().SequenceEqual(numbers))
                throw new FormatException($"{name}: the state's numbers are not those of this model, {buffer.Shape}; it was made for a model that numbers them differently");

        foreach (var (name, parameter) in Parameters)
            if (state.TryGet(name) is { } from && Same(parameter.PyTorchShape, from.Shape)) Fill(parameter, from);
        foreach (var (name, buffer) in _buffers)
            if (buffer.Constant == null && state.TryGet(name) is { } from && Same(buffer.Shape, from.Shape)) Fill(buffer, from);
        RefreshCompute();
        return report;

        void Compare(string name, Shape shape, bool optional)
        {
            known.Add(name);
            var from = state.TryGet(name);
            if (from == null)
            {
                if (!optional) missing.Add((name, shape));
            }
            else if (!Same(shape, from.Shape)) mismatched.Add((name, shape, from.Shape));
        }
    }

    /// <summary>What <paramref name="flat"/> holds from element <paramref name="first"/> on (a value, a moment, an average) as a checkpoint has it.</summary>
    internal static StateTensor InPyTorchOrder(Parameter parameter, Tensor flat, long first = 0)
    {
        var stored = StateTensor.Of(flat, first, parameter.Shape);
        return parameter.Layout == ParameterLayout.Plain ? stored : new PermutedTensor(parameter, stored);
    }

    /// <summary>Overwrites <paramref name="value"/>, which has the parameter's shape, from what a checkpoint holds of it.</summary>
    internal static void FillFrom(Parameter parameter, Tensor value, StateTensor from)
    {
        if (parameter.Layout != ParameterLayout.Plain)
        {
            value.CopyFrom<float>(parameter.Layout.FromPyTorch(from.ToF32(), parameter.Shape));
            return;
        }
        var piece = new float[(int)Math.Min(1 << 18, value.Count)];
        for (long done = 0; done < value.Count; done += piece.Length)
        {
            var part = piece.AsSpan(0, (int)Math.Min(piece.Length, value.Count - done));
            from.ReadF32(done, part);
            value.Device.Upload(MemoryMarshal.AsBytes(part), value.Address + (nint)(done * sizeof(float)));
        }
    }

    private static void Fill(Parameter parameter, StateTensor from) => FillFrom(parameter, parameter.Value, from);

    private static void Fill(StateBuffer buffer, StateTensor from)
    {
        if (buffer.DType == DType.I64) buffer.Value.CopyFrom<long>(from.ToI64());
        else buffer.Value.CopyFrom<float>(from.ToF32());
    }

    /// <summary>Scalars are written (1) by some programs.</summary>
    private static bool Same(Shape a, Shape b) => a == b || (a.Rank == 0 && b.Rank == 1 && b.Count == 1);

    private static void AddState(Module module, string prefix, StateDict state)
    {
        foreach (var (name, parameter) in module.OwnParameters) state.Add(prefix + name, InPyTorchOrder(parameter, parameter.Value));
        foreach (var (name, buffer) in module.OwnBuffers) state.Add(prefix + name, StateTensor.Of(buffer.Value));
        foreach (var (name, child) in module.Children) AddState(child, $"{prefix}{name}.", state);
    }

    /// <summary>A convolution's weight in PyTorch's order. A read permutes all of it, so it is read in one piece.</summary>
    private sealed class PermutedTensor(Parameter parameter, StateTensor stored) : StateTensor(DType.F32, parameter.PyTorchShape)
    {
        private protected override long Piece => Math.Max(1, Shape.Count);

        public override void Read(long first, Span<byte> to)
        {
            var values = parameter.Layout.ToPyTorch(stored.ToF32(), parameter.Shape);
            MemoryMarshal.AsBytes(values.AsSpan((int)first, to.Length / sizeof(float))).CopyTo(to);
        }
    }
}
