using System.Runtime.InteropServices;

namespace Plip.Engine;

/// <summary>The element types of the safetensors format, and what each is read as.</summary>
/// <param name="Name">As the header writes it.</param>
/// <param name="Size">Bytes of an element in the file.</param>
/// <param name="ReadAs">The engine's type; F64 narrows to F32, small integers widen to I32.</param>
internal sealed record SafeTensorType(string Name, int Size, DType ReadAs)
{
    private static readonly SafeTensorType[] s_all =
    [
        new("F64", 8, DType.F32), new("F32", 4, DType.F32), new("F16", 2, DType.F16), new("BF16", 2, DType.BF16),
        new("I64", 8, DType.I64), new("I32", 4, DType.I32), new("I16", 2, DType.I32), new("U16", 2, DType.I32), new("I8", 1, DType.I32),
        new("U8", 1, DType.U8), new("BOOL", 1, DType.U8),
    ];

    /// <summary>All names, for messages.</summary>
    public static string Known => string.Join(", ", s_all.Select(t => t.Name));

    /// <summary>True when the file's bytes are the engine's.</summary>
    public bool IsPlain => Size == ReadAs.Size();

    /// <summary>The type of this name, or null.</summary>
    public static SafeTensorType? Find(string name) => Array.Find(s_all, t => t.Name == name);

    /// <summary>The type that stores <paramref name="type"/> as it is.</summary>
    public static SafeTensorType Of(DType type) => Array.Find(s_all, t => t.ReadAs == type && t.IsPlain)
        ?? throw new ArgumentOutOfRangeException(nameof(type), type, "safetensors has no such element type");

    /// <summary>Elements of the file to elements of <see cref="ReadAs"/>, whether they differ or not.</summary>
    public void ConvertOrCopy(ReadOnlySpan<byte> from, Span<byte> to)
    {
        if (IsPlain) from.CopyTo(to);
        else Convert(from, to[..(from.Length / Size * ReadAs.Size())]);
    }

    /// <summary>Elements of the file to elements of <see cref="ReadAs"/>, where they differ.</summary>
    public void Convert(ReadOnlySpan<byte> from, Span<byte> to)
    {
        if (Name == "F64")
        {
            var wide = MemoryMarshal.Cast<byte, double>(from);
            var narrow = MemoryMarshal.Cast<byte, float>(to);
            for (var i = 0; i < narrow.Length; i++) narrow[i] = (float)wide[i];
            return;
        }
        var ints = MemoryMarshal.Cast<byte, int>(to);
        for (var i = 0; i < ints.Length; i++)
            ints[i] = Name switch
            {
                "I16" => MemoryMarshal.Cast<byte, short>(from)[i],
                "U16" => MemoryMarshal.Cast<byte, ushort>(from)[i],
                _ => (sbyte)from[i],
            };
    }
}
