namespace Plip.Engine;

// What a pickle can make here: numbers (long, double, bool), null, string, byte[] and the few classes below. Nothing has behaviour.

/// <summary>A list; a set is one too, for nothing asks.</summary>
internal sealed class PyList
{
    public List<object?> Items { get; } = [];
}

/// <summary>A tuple.</summary>
internal sealed record PyTuple(object?[] Items);

/// <summary>A dictionary in order, or an object of which only its attributes are of interest.</summary>
internal sealed class PyDict(bool isObject = false)
{
    /// <summary>Keys may stand twice: the later one counts.</summary>
    public List<(object? Key, object? Value)> Items { get; } = [];

    /// <summary>Whether BUILD gives it its attributes (a module of TorchScript, argparse's Namespace); an OrderedDict's are dropped.</summary>
    public bool IsObject => isObject;
}

/// <summary>A thing that says what it is and is of no further use: a device, a layout, an integer beyond 64 bits.</summary>
internal sealed record PyOpaque(string Text);

/// <summary>numpy's dtype: what a scalar's bytes mean.</summary>
internal sealed class PyNumpyType(string code)
{
    public string Code => code;

    public bool BigEndian { get; set; }
}

/// <summary>Elements in an entry of the archive.</summary>
/// <param name="Type">Their type; null for bytes whose type each tensor says.</param>
/// <param name="Count">How many; of bytes where the type is null.</param>
internal sealed record PyStorage(StoredZip.Entry Entry, SafeTensorType? Type, long Count);

/// <summary>A view of a storage, checked to lie within it.</summary>
internal sealed record PyTensor(PyStorage Storage, SafeTensorType Type, long Offset, Shape Shape, long[] Strides);
