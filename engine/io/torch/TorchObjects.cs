using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Plip.Engine;

/// <summary>Makes what the allowed globals of a pickle stand for: dictionaries, storages, tensors. Everything is checked here, against the archive.</summary>
/// <param name="archive">The archive's entries.</param>
/// <param name="root">The folder in it under which storages lie, "archive/".</param>
/// <param name="isScript">Whether it is TorchScript's.</param>
internal sealed class TorchObjects(StoredZip archive, string root, bool isScript)
{
    private const int MostAxes = 64;

    private readonly Dictionary<(string Key, string Type), PyStorage> _storages = [];

    /// <summary>Whether the archive is TorchScript's.</summary>
    public bool IsScript => isScript;

    /// <summary>A global applied to its arguments, and how many items were copied for it.</summary>
    public (object? Result, long Items) Make(TorchGlobal global, object?[] arguments, Func<string, FileFormatException> error)
    {
        switch (global.Kind)
        {
            case TorchGlobalKind.Dict: return Dict(arguments, error);
            case TorchGlobalKind.DefaultDict: return (new PyDict(), 1);
            case TorchGlobalKind.Object: return (new PyDict(isObject: true), 1);
            case TorchGlobalKind.Set: return (arguments is [PyList set] ? set : new PyList(), 1);
            case TorchGlobalKind.Size or TorchGlobalKind.ScriptList when arguments is [PyTuple or PyList or PyDict or PyTensor, ..]: return (arguments[0], 1);
            case TorchGlobalKind.Size when arguments is []: return (new PyTuple([]), 1);
            case TorchGlobalKind.Device when arguments is [string name, ..]: return (new PyOpaque(name), 1);
            case TorchGlobalKind.RebuildTensor when arguments is [PyStorage storage, long offset, PyTuple size, PyTuple stride, ..]:
                return (Tensor(storage, storage.Type ?? throw error("a tensor of untyped bytes does not say its element type; the file is damaged"), offset, size, stride, error), size.Items.Length);
            case TorchGlobalKind.RebuildTensorTyped when arguments is [PyStorage storage, long offset, PyTuple size, PyTuple stride, _, _, TorchGlobal { Kind: TorchGlobalKind.DType, Type: { } type }, ..]:
                return (Tensor(storage, type, offset, size, stride, error), size.Items.Length);
            case TorchGlobalKind.RebuildParameter when arguments is [PyTensor tensor, ..]: return (tensor, 1);
            case TorchGlobalKind.RebuildFromType when arguments is [TorchGlobal function, TorchGlobal { Kind: TorchGlobalKind.TensorClass }, PyTuple inner, ..]
                && function.Kind is TorchGlobalKind.RebuildTensor or TorchGlobalKind.RebuildTensorTyped or TorchGlobalKind.RebuildParameter:
                return Make(function, inner.Items, error); // once: what it calls is none of its own kind
            case TorchGlobalKind.NumpyType when arguments is [string code, ..]: return (new PyNumpyType(code), 1);
            case TorchGlobalKind.NumpyScalar when arguments is [PyNumpyType type, byte[] bytes]: return (Scalar(type, bytes), 1);
            case TorchGlobalKind.Encode when arguments is [string text, string]: return (Encoding.Latin1.GetBytes(text), text.Length);
            default: throw error($"{global.Name} is given arguments that it does not take; the file is damaged");
        }
    }

    /// <summary>A storage by its persistent id ("storage", class, key, device, count).</summary>
    public PyStorage Storage(object? id, Func<string, FileFormatException> error)
    {
        if (id is not PyTuple { Items: ["storage", TorchGlobal { Kind: TorchGlobalKind.Storage } kind, string key, _, long count, ..] })
            throw error("refers to something outside the pickle that is no storage; the file is damaged, or was not written by torch.save");
        var typeName = kind.Type?.Name ?? "";
        if (_storages.TryGetValue((key, typeName), out var known)) return known.Count == count ? known : throw error($"storage {Printable.Text(key)} has {known.Count} elements at one place and {count} at another; the file is damaged");
        if (!archive.Entries.TryGetValue($"{root}data/{key}", out var entry)) throw error($"storage {Printable.Text(key)} is not in the archive: the entry {Printable.Text($"{root}data/{key}")} is missing");
        var size = kind.Type?.Size ?? 1;
        if (count < 0 || (Int128)count * size != entry.Size) throw error($"storage {Printable.Text(key)} should hold {count} elements of {size} bytes, its entry holds {entry.Size} bytes; the file is damaged");
        return _storages[(key, typeName)] = new PyStorage(entry, kind.Type, count);
    }

    private static PyTensor Tensor(PyStorage storage, SafeTensorType type, long offset, PyTuple size, PyTuple stride, Func<string, FileFormatException> error)
    {
        var rank = size.Items.Length;
        if (rank > MostAxes || stride.Items.Length != rank) throw error($"a tensor has {rank} sizes and {stride.Items.Length} strides; expected as many of each, {MostAxes} at most");
        var (dims, strides) = (new int[rank], new long[rank]);
        // 128 bits and a cap: no choice of sizes and strides can wrap around.
        Int128 count = 1, last = offset;
        for (var i = 0; i < rank; i++)
        {
            if (size.Items[i] is not long extent || stride.Items[i] is not long step || extent < 0 || extent > int.MaxValue || step < 0)
                throw error(FormattableString.Invariant($"axis {i} of a tensor has an impossible size or stride ({size.Items[i] as long?}, {stride.Items[i] as long?}); expected whole numbers from 0 up, sizes below 2³¹"));
            (dims[i], strides[i]) = ((int)extent, step);
            count = Int128.Min(count * extent, long.MaxValue);
            last = Int128.Min(last + (Int128)(extent - 1) * step, long.MaxValue);
        }
        var elements = storage.Type == null ? storage.Count / type.Size : storage.Count;
        var shape = new Shape(dims);
        if (count == 0) return new PyTensor(storage, type, 0, shape, strides);
        if (offset < 0 || last >= elements)
            throw error(FormattableString.Invariant($"a tensor of shape {shape} with strides ({string.Join(", ", strides)}) from element {offset} on reaches beyond its storage of {elements} elements; the file is damaged, or was made to read what is not its own"));
        if (count > elements)
            throw error(FormattableString.Invariant($"a tensor of shape {shape} shows the {elements} elements of its storage more than once (an expanded view); save it with .contiguous()"));
        return new PyTensor(storage, type, offset, shape, strides);
    }

    private static (object? Result, long Items) Dict(object?[] arguments, Func<string, FileFormatException> error)
    {
        var dict = new PyDict();
        if (arguments is []) return (dict, 1);
        var pairs = arguments is [PyList list] ? list.Items : throw error("a dictionary is made of something that is no list of pairs; the file is damaged");
        foreach (var pair in pairs)
            dict.Items.Add(pair switch
            {
                PyTuple { Items: [var key, var value] } => (key, value),
                PyList { Items: [var key, var value] } => (key, value),
                _ => throw error("a dictionary is made of something that is no list of pairs; the file is damaged"),
            });
        return (dict, 1 + pairs.Count);
    }

    private static object Scalar(PyNumpyType type, byte[] bytes)
    {
        if (type.BigEndian) return new PyOpaque("a big-endian numpy scalar");
        return (type.Code, bytes.Length) switch
        {
            ("f8", 8) => MemoryMarshal.Read<double>(bytes),
            ("f4", 4) => (double)MemoryMarshal.Read<float>(bytes),
            ("f2", 2) => (double)MemoryMarshal.Read<Half>(bytes),
            ("i8", 8) => MemoryMarshal.Read<long>(bytes),
            ("i4", 4) => (long)MemoryMarshal.Read<int>(bytes),
            ("b1", 1) => bytes[0] != 0,
            _ => new PyOpaque(string.Create(CultureInfo.InvariantCulture, $"a numpy scalar of type {Printable.Text(type.Code)}")),
        };
    }
}
