namespace Plip.Engine;

/// <summary>Element types. Statistics, losses and optimiser state are always <see cref="F32"/> (DESIGN 5).</summary>
public enum DType : byte
{
    /// <summary>IEEE 754 binary32.</summary>
    F32,

    /// <summary>bfloat16: the upper half of an F32; storage and transport only, arithmetic accumulates in F32.</summary>
    BF16,

    /// <summary>IEEE 754 binary16; storage and transport only, arithmetic accumulates in F32.</summary>
    F16,

    /// <summary>Signed 32-bit integer: token ids, identities, sequence offsets.</summary>
    I32,

    /// <summary>Signed 64-bit integer: counters, and PyTorch's num_batches_tracked.</summary>
    I64,

    /// <summary>Unsigned byte: pictures as decoded, masks.</summary>
    U8,
}

/// <summary>Facts about element types.</summary>
public static class DTypes
{
    /// <summary>Bytes an element takes.</summary>
    public static int Size(this DType type) => type switch
    {
        DType.F32 or DType.I32 => 4,
        DType.BF16 or DType.F16 => 2,
        DType.I64 => 8,
        DType.U8 => 1,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "unknown element type"),
    };

    /// <summary>True for the types that can carry a gradient.</summary>
    public static bool IsFloat(this DType type) => type is DType.F32 or DType.BF16 or DType.F16;
}
