namespace Plip.Engine;

/// <summary>What the name of a global stands for. Each is data or makes data; none is looked up anywhere, so none can run.</summary>
internal enum TorchGlobalKind
{
    /// <summary>An empty dictionary, or one of a list of pairs.</summary>
    Dict,

    /// <summary>A dictionary with a default, which is dropped.</summary>
    DefaultDict,

    /// <summary>A set, kept as a list.</summary>
    Set,

    /// <summary>torch.Size: a tuple.</summary>
    Size,

    /// <summary>torch.device.</summary>
    Device,

    /// <summary>An element type.</summary>
    DType,

    /// <summary>A storage's class.</summary>
    Storage,

    /// <summary>(storage, offset, size, stride, …).</summary>
    RebuildTensor,

    /// <summary>The same with the element type as a further argument: types that have no storage class.</summary>
    RebuildTensorTyped,

    /// <summary>(tensor, …): the tensor.</summary>
    RebuildParameter,

    /// <summary>(function, class, arguments, state): the function's result.</summary>
    RebuildFromType,

    /// <summary>torch.Tensor, torch.nn.Parameter as an argument of the above.</summary>
    TensorClass,

    /// <summary>(list): the list.</summary>
    ScriptList,

    /// <summary>An object whose attributes are kept.</summary>
    Object,

    /// <summary>(dtype, bytes): a number.</summary>
    NumpyScalar,

    /// <summary>(code, …): what a scalar's bytes mean.</summary>
    NumpyType,

    /// <summary>(string, "latin1"): how protocol 2 writes bytes.</summary>
    Encode,
}

/// <summary>A global that a pickle may name.</summary>
/// <param name="Name">Module and name, joined by a dot.</param>
/// <param name="Type">The element type of a storage or dtype; null for bytes without one.</param>
internal sealed record TorchGlobal(TorchGlobalKind Kind, string Name, SafeTensorType? Type = null);

/// <summary>
/// The allow-list. Beside what a state dict needs: what training scripts put next to one (numpy's scalars as the best score, argparse's Namespace
/// as the options, a defaultdict as an old optimiser's state), and TorchScript's classes, which are kept as their attributes.
/// </summary>
internal static class TorchGlobals
{
    private const string Foreign = "Nothing was executed and nothing loaded: in PyTorch, if you trust the file, load it and save its state_dict() alone";

    /// <summary>The global of this name.</summary>
    /// <param name="script">Whether the archive is TorchScript's, whose own classes are then known.</param>
    /// <param name="refusal">Why there is none.</param>
    public static TorchGlobal? Find(string module, string name, bool script, out string refusal)
    {
        refusal = "";
        var full = $"{module}.{name}";
        if (script && (module == "__torch__" || module.StartsWith("__torch__.", StringComparison.Ordinal))) return new(TorchGlobalKind.Object, full);
        TorchGlobalKind? kind = full switch
        {
            "collections.OrderedDict" or "builtins.dict" or "__builtin__.dict" => TorchGlobalKind.Dict,
            "collections.defaultdict" => TorchGlobalKind.DefaultDict,
            "builtins.set" or "__builtin__.set" or "builtins.frozenset" or "__builtin__.frozenset" => TorchGlobalKind.Set,
            "argparse.Namespace" => TorchGlobalKind.Object,
            "torch.Size" => TorchGlobalKind.Size,
            "torch.device" => TorchGlobalKind.Device,
            "torch._utils._rebuild_tensor" or "torch._utils._rebuild_tensor_v2" => TorchGlobalKind.RebuildTensor,
            "torch._utils._rebuild_tensor_v3" => TorchGlobalKind.RebuildTensorTyped,
            "torch._utils._rebuild_parameter" or "torch._utils._rebuild_parameter_with_state" => TorchGlobalKind.RebuildParameter,
            "torch._tensor._rebuild_from_type_v2" => TorchGlobalKind.RebuildFromType,
            "torch.Tensor" or "torch._tensor.Tensor" or "torch.nn.parameter.Parameter" or "torch.nn.parameter.Buffer" => TorchGlobalKind.TensorClass,
            "torch.jit._pickle.build_intlist" or "torch.jit._pickle.build_doublelist" or "torch.jit._pickle.build_boollist" or "torch.jit._pickle.build_tensorlist"
                or "torch.jit._pickle.restore_type_tag" when script => TorchGlobalKind.ScriptList,
            "numpy.core.multiarray.scalar" or "numpy._core.multiarray.scalar" => TorchGlobalKind.NumpyScalar,
            "numpy.dtype" => TorchGlobalKind.NumpyType,
            "_codecs.encode" => TorchGlobalKind.Encode,
            _ => null,
        };
        if (kind is { } found) return new(found, full);
        if (module is "torch" or "torch.storage")
        {
            if (Typed(name) is { } typed) return new(typed.Kind, full, typed.Type);
            if (name.StartsWith("Complex", StringComparison.Ordinal) || name.StartsWith("complex", StringComparison.Ordinal)) refusal = $"the global \"{full}\" is of complex numbers, which this program does not have";
            else if (name.StartsWith('Q') || name.StartsWith('q')) refusal = $"the global \"{full}\" is of quantised tensors, which this program does not read; save the model in floating point";
            else if (name.StartsWith("float8", StringComparison.Ordinal)) refusal = $"the global \"{full}\" is of 8-bit floating point, which this program does not read; save the model in bfloat16";
        }
        else if (full == "torch._utils._rebuild_qtensor") refusal = $"the global \"{full}\" makes quantised tensors, which this program does not read; save the model in floating point";
        else if (full == "torch._utils._rebuild_sparse_tensor") refusal = $"the global \"{full}\" makes sparse tensors, which this program does not read; save them dense";
        if (refusal.Length == 0) refusal = $"the global \"{Printable.Text(full)}\" is none that weights need. {Foreign}";
        return null;
    }

    private static (TorchGlobalKind Kind, SafeTensorType? Type)? Typed(string name)
    {
        const string Storage = "Storage";
        var type = name switch
        {
            "DoubleStorage" or "float64" or "double" => "F64",
            "FloatStorage" or "float32" or "float" => "F32",
            "HalfStorage" or "float16" or "half" => "F16",
            "BFloat16Storage" or "bfloat16" => "BF16",
            "LongStorage" or "int64" or "long" => "I64",
            "IntStorage" or "int32" or "int" => "I32",
            "ShortStorage" or "int16" or "short" => "I16",
            "uint16" => "U16",
            "CharStorage" or "int8" => "I8",
            "ByteStorage" or "uint8" => "U8",
            "BoolStorage" or "bool" => "BOOL",
            "UntypedStorage" => "",
            _ => null,
        };
        if (type == null) return null;
        return (name.EndsWith(Storage, StringComparison.Ordinal) ? TorchGlobalKind.Storage : TorchGlobalKind.DType, type.Length == 0 ? null : SafeTensorType.Find(type));
    }
}
