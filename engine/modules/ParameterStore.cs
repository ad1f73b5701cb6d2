namespace Plip.Engine;

/// <summary>
/// The memory of a model (DESIGN 4): trainable parameters lie in one flat F32 buffer, ordered by group, their gradients
/// in a second at the same offsets, frozen parameters in a third. Each <see cref="Parameter"/> is a view with a name, so one
/// pass updates everything and one reduction gives the norm of the gradient. For mixed precision a copy in BF16 or F16 lies beside the
/// values (DESIGN 5), which the optimiser writes in the same pass. It belongs to no step; dispose it yourself.
/// </summary>
public sealed partial class ParameterStore : IDisposable
{
    private const int Alignment = 16; // elements: a cache line of F32, and a whole vector of any width

    private readonly (string Name, StateBuffer Buffer)[] _buffers;
    private readonly Tensor _frozen;
    private readonly Tensor? _grads, _compute, _frozenCompute, _norm;
    private bool _disposed;

    private ParameterStore(
        Device device, Module root, List<ParameterPlace> trainable, List<ParameterPlace> frozen, List<FlatRange> ranges, ulong? seed, DType computeType)
    {
        (Device, Root, Trainable, Ranges) = (device, root, trainable, ranges);
        Parameters = [.. root.NamedParameters()];
        _buffers = [.. root.NamedBuffers()];
        Values = Tensor.Zeros(device, FlatShape(trainable), madeBy: "Materialize");
        _grads = trainable.Count > 0 ? Tensor.Zeros(device, Values.Shape, madeBy: "Materialize") : null;
        _norm = trainable.Count > 0 ? Tensor.Zeros(device, new Shape(4), madeBy: "Materialize") : null;
        _frozen = Tensor.Zeros(device, FlatShape(frozen), madeBy: "Materialize");
        if (computeType != DType.F32)
        {
            _compute = Tensor.Zeros(device, Values.Shape, computeType, "Materialize");
            _frozenCompute = Tensor.Zeros(device, _frozen.Shape, computeType, "Materialize");
        }
        foreach (var place in trainable) place.Parameter.Attach(place.In(Values), place.In(_grads!), place.CopyIn(_compute));
        foreach (var place in frozen) place.Parameter.Attach(place.In(_frozen), null, place.CopyIn(_frozenCompute));
        foreach (var (_, buffer) in _buffers) buffer.Materialize(device);
        if (seed is { } s && device is not PlanDevice) // a hundred million numbers that nobody reads
            foreach (var (name, parameter) in Parameters) Initialise(name, parameter, s);
        RefreshCompute();
    }

    /// <summary>Where the model lives.</summary>
    public Device Device { get; }

    /// <summary>The model.</summary>
    public Module Root { get; }

    /// <summary>All parameters with their full names, in checkpoint order.</summary>
    public IReadOnlyList<(string Name, Parameter Parameter)> Parameters { get; }

    /// <summary>The trainable parameters and where each lies in <see cref="Values"/>, in flat order.</summary>
    public IReadOnlyList<ParameterPlace> Trainable { get; }

    /// <summary>The range of each group that is not frozen and not empty; together they cover <see cref="Values"/>.</summary>
    public IReadOnlyList<FlatRange> Ranges { get; }

    /// <summary>All trainable parameters, flat, F32; zero in the gaps that align them.</summary>
    public Tensor Values { get; }

    /// <summary>
    /// The values as passes compute with them: a BF16 or F16 copy at the offsets of <see cref="Values"/>, or <see cref="Values"/> itself
    /// where none was asked for. Optimisers write it with the values.
    /// </summary>
    public Tensor Compute => _compute ?? Values;

    /// <summary>Bytes of all values, trainable and frozen, in F32.</summary>
    public long ValueBytes => Values.Bytes + _frozen.Bytes;

    /// <summary>Bytes of their copies for passes; 0 where there are none.</summary>
    public long CopyBytes => (_compute?.Bytes ?? 0) + (_frozenCompute?.Bytes ?? 0);

    /// <summary>The BF16 or F16 copy, or null.</summary>
    internal Tensor? ComputeCopy => _compute;

    /// <summary>What <see cref="GradientClip"/> writes and optimisers read, see <see cref="GradientNorm"/>.</summary>
    internal Tensor NormResult => _norm ?? throw new InvalidOperationException("this store holds no gradients: nothing in it is trainable");

    /// <summary>How often the norm was measured.</summary>
    internal long NormMeasurements { get; set; }

    /// <summary>Bytes an update writes to the copy for each element.</summary>
    internal int ComputeBytes => _compute?.DType.Size() ?? 0;

    /// <summary>All gradients, at the offsets of <see cref="Values"/>. Backward passes add to it: see <see cref="ZeroGrad"/>.</summary>
    /// <exception cref="InvalidOperationException">Nothing is trainable: all groups are frozen, or the store is for inference.</exception>
    public Tensor Grads => _grads ?? throw new InvalidOperationException("this store holds no gradients: nothing in it is trainable");

    /// <summary>Number of trainable elements, the gaps not counted.</summary>
    public long TrainableCount => Trainable.Sum(p => p.Parameter.Shape.Count);

    /// <summary>Number of elements of all parameters.</summary>
    public long ParameterCount => Parameters.Sum(p => p.Parameter.Shape.Count);

    /// <summary>Gives a model its memory and its initial values.</summary>
    /// <param name="seed">Seeds the initial values; null leaves parameters at zero, for a state that is loaded next.</param>
    /// <param name="groups">First match wins; null is one group of everything.</param>
    /// <param name="training">False for inference: no gradients, every parameter frozen.</param>
    /// <param name="computeType">
    /// BF16 or F16 keeps a copy of the parameters in it, which layers use for matrices (<see cref="Parameter.Compute"/>);
    /// values and gradients are F32 all the same. F32, the default, keeps none. F16 wants a <see cref="LossScaler"/>.
    /// </param>
    /// <exception cref="ArgumentException">A parameter that no group takes, two of one name, or a compute type that is none.</exception>
    /// <exception cref="InvalidOperationException">The model is part of another, or has a store already.</exception>
    public static ParameterStore Materialize(
        Device device, Module root, ulong? seed, IReadOnlyList<ParameterGroup>? groups = null, bool training = true, DType computeType = DType.F32)
    {
        if (computeType is not (DType.F32 or DType.BF16 or DType.F16))
            throw new ArgumentException($"Materialize: parameters are computed with as F32, BF16 or F16, not {computeType}");
        groups ??= [ParameterGroup.All];
        if (root.Path.Length > 0)
            throw new InvalidOperationException($"Materialize: the module is {root.Path} of a larger model; materialise the root");
        var byGroup = new List<Parameter>[groups.Count];
        for (var g = 0; g < byGroup.Length; g++) byGroup[g] = [];
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (name, parameter) in root.NamedParameters())
        {
            if (!seen.Add(name)) throw new ArgumentException($"Materialize: two parameters are named {name}");
            if (parameter.IsMaterialized) throw new InvalidOperationException($"Materialize: {name} belongs to a parameter store already; dispose that first");
            byGroup[FirstMatch(groups, parameter, name)].Add(parameter);
        }
        foreach (var (name, _) in root.NamedBuffers())
            if (!seen.Add(name)) throw new ArgumentException($"Materialize: two tensors are named {name}");

        var (trainable, frozen, ranges) = (new List<ParameterPlace>(), new List<ParameterPlace>(), new List<FlatRange>());
        long trainableEnd = 0, frozenEnd = 0;
        for (var g = 0; g < byGroup.Length; g++)
        {
            if (!training || groups[g].Frozen)
            {
                Lay(byGroup[g], frozen, ref frozenEnd);
                continue;
            }
            var start = trainableEnd;
            Lay(byGroup[g], trainable, ref trainableEnd);
            if (trainableEnd > start) ranges.Add(new FlatRange(groups[g], start, trainableEnd - start));
        }
        var step = device.CurrentStep; // what is made here outlives every step
        device.CurrentStep = null;
        try
        {
            return new ParameterStore(device, root, trainable, frozen, ranges, seed, computeType);
        }
        finally
        {
            device.CurrentStep = step;
        }
    }

    /// <summary>Sets every gradient to zero; call it before the first backward pass of an update.</summary>
    public void ZeroGrad()
    {
        if (_grads != null) Device.Clear(_grads.Address, _grads.Bytes);
    }

    /// <summary>
    /// Makes the BF16 or F16 copies anew from the values, where there are any. Materialize, <see cref="Load"/>, optimisers and
    /// <see cref="Ema"/> keep them as they must be; call it after writing to <see cref="Values"/> or to a <see cref="Parameter.Value"/>.
    /// </summary>
    public void RefreshCompute()
    {
        if (_compute != null) Ops.CastInto(_compute, Values);
        if (_frozenCompute != null) Ops.CastInto(_frozenCompute, _frozen);
    }

    /// <summary>Returns the memory; the model's parameters throw afterwards, and it may be materialised again.</summary>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        foreach (var (_, parameter) in Parameters) parameter.Detach();
        foreach (var (_, buffer) in _buffers) buffer.Detach();
        // Freed, not released: a pass that recorded nothing leaves views of parameters (Ops.Reshape, Ops.Slice) to the collector.
        Values.Free("its parameter store was disposed");
        _grads?.Free("its parameter store was disposed");
        _norm?.Free("its parameter store was disposed");
        _frozen.Free("its parameter store was disposed");
        _compute?.Free("its parameter store was disposed");
        _frozenCompute?.Free("its parameter store was disposed");
    }

    private static void Initialise(string name, Parameter parameter, ulong seed)
    {
        var values = new float[parameter.Shape.Count];
        parameter.Init.Fill(values, seed, name);
        parameter.Value.CopyFrom<float>(values);
    }

    private static int FirstMatch(IReadOnlyList<ParameterGroup> groups, Parameter parameter, string name)
    {
        for (var g = 0; g < groups.Count; g++)
            if (groups[g].Takes(parameter)) return g;
        throw new ArgumentException(
            $"Materialize: no group takes {name} {parameter.Shape} (there are: {string.Join(", ", groups.Select(g => g.Name))}); end the list with ParameterGroup.All");
    }

    private static void Lay(List<Parameter> parameters, List<ParameterPlace> places, ref long end)
    {
        foreach (var p in parameters)
        {
            places.Add(new ParameterPlace(p, end));
            end += (p.Shape.Count + Alignment - 1) / Alignment * Alignment;
        }
    }

    private static Shape FlatShape(List<ParameterPlace> places)
    {
        if (places.Count == 0) return new Shape(0);
        var last = places[^1];
        return new Shape(checked((int)((last.Offset + last.Parameter.Shape.Count + Alignment - 1) / Alignment * Alignment)));
    }
}

/// <summary>Where a trainable parameter lies in the flat buffers.</summary>
/// <param name="Offset">Its first element; a multiple of 16.</param>
public readonly record struct ParameterPlace(Parameter Parameter, long Offset)
{
    /// <summary>The view of the parameter in a flat buffer.</summary>
    internal Tensor In(Tensor flat) => flat.View(Parameter.Shape, Offset * flat.DType.Size());

    /// <summary>Its view in the compute copy, if there is one and the parameter is a matrix or more: vectors are computed with as F32.</summary>
    internal Tensor? CopyIn(Tensor? flat) => flat != null && Parameter.Shape.Rank >= 2 ? In(flat) : null;
}
