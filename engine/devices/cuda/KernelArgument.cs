using System.Globalization;

namespace Plip.Engine;

/// <summary>
/// An argument of a kernel: a tensor's address, a number, tensor maps by value, or nothing (a null pointer). A value of its own, so that a launch
/// takes a handful of them from the stack and allocates nothing.
/// </summary>
internal readonly struct KernelArgument
{
    private readonly Kind _kind;
    private readonly DType _type;
    private readonly Shape _shape;
    private readonly TensorMaps? _maps; // kept alive as long as a launch may read them

    private KernelArgument(Kind kind, ulong bits, DType type = default, Shape shape = default, TensorMaps? maps = null) =>
        (_kind, Bits, _type, _shape, _maps) = (kind, bits, type, shape, maps);

    /// <summary>The value, in the first bytes; of maps their address.</summary>
    public ulong Bits { get; }

    /// <summary>Whether the value lies at <see cref="Bits"/> rather than in them.</summary>
    public bool IsMaps => _kind == Kind.Maps;

    public static implicit operator KernelArgument(Tensor? x) =>
        x == null ? new(Kind.Null, 0) : new(Kind.Tensor, (ulong)x.Address, x.DType, x.Shape);

    public static implicit operator KernelArgument(CudaScratch x) => new(Kind.Address, (ulong)x.Address, DType.F32);

    public static implicit operator KernelArgument(CudaInts x) => new(Kind.Address, (ulong)x.Address, DType.I32);

    public static implicit operator KernelArgument(int x) => new(Kind.Int, (uint)x);

    public static implicit operator KernelArgument(long x) => new(Kind.Long, (ulong)x);

    public static implicit operator KernelArgument(float x) => new(Kind.Float, BitConverter.SingleToUInt32Bits(x));

    /// <summary>Tensor maps, by value.</summary>
    public static KernelArgument Of(TensorMaps x) => new(Kind.Maps, (ulong)x.Address, maps: x);

    /// <summary>Whether it may be handed to a parameter: a tensor to a pointer to its type, a number to a parameter of its own type, maps to maps (null).</summary>
    public bool Fits(DType? type, bool isPointer) => _kind switch
    {
        Kind.Maps => type == null,
        Kind.Tensor or Kind.Address => isPointer && _type == type,
        Kind.Null => isPointer && type != null,
        Kind.Int => !isPointer && type == DType.I32,
        Kind.Long => !isPointer && type == DType.I64,
        _ => !isPointer && type == DType.F32,
    };

    public override string ToString() => _kind switch
    {
        Kind.Tensor => $"{_type} {_shape}",
        Kind.Address => "scratch",
        Kind.Maps => "tensor maps",
        Kind.Int => ((int)Bits).ToString(CultureInfo.InvariantCulture),
        Kind.Long => ((long)Bits).ToString(CultureInfo.InvariantCulture),
        Kind.Float => BitConverter.UInt32BitsToSingle((uint)Bits).ToString("R", CultureInfo.InvariantCulture),
        _ => "null",
    };

    private enum Kind : byte { Null, Tensor, Address, Int, Long, Float, Maps }
}

/// <summary>
/// A constant baked into a kernel when it is compiled (<c>-DCOLS=768</c>, <c>-DT=bf16</c>): a name and a type, a number or a word. A
/// kernel is compiled once for each combination that is used.
/// </summary>
internal readonly struct Define(string name, long number, string? word) : IEquatable<Define>
{
    public string Name { get; } = name;

    private readonly long _number = number;
    private readonly string? _word = word;

    public static implicit operator Define((string Name, DType Type) d) => new(d.Name, 0, TypeName(d.Type));

    public static implicit operator Define((string Name, int Number) d) => new(d.Name, d.Number, null);

    public static implicit operator Define((string Name, bool Flag) d) => new(d.Name, d.Flag ? 1 : 0, null);

    public static implicit operator Define((string Name, string Word) d) => new(d.Name, 0, d.Word);

    public bool Equals(Define other) => _number == other._number && Name == other.Name && _word == other._word;

    public override bool Equals(object? obj) => obj is Define d && Equals(d);

    /// <summary>Of lengths and first letters: cheap, and what it takes for alike is told apart by <see cref="Equals(Define)"/>.</summary>
    public override int GetHashCode() => (int)_number * 31 + Cheap(Name) * 17 + Cheap(_word);

    internal static int Cheap(string? s) => string.IsNullOrEmpty(s) ? 0 : s.Length * 7919 + s[0] * 31 + s[^1] + s[s.Length / 2] * 961;

    /// <summary>What the name stands for.</summary>
    public string Value => _word ?? _number.ToString(CultureInfo.InvariantCulture);

    /// <summary>As the compiler takes it.</summary>
    public override string ToString() => $"-D{Name}={Value}";

    /// <summary>How kernels name an element type (kernels/common/types.cuh).</summary>
    private static string TypeName(DType type) => type switch
    {
        DType.F32 => "float",
        DType.BF16 => "bf16",
        DType.F16 => "half",
        DType.I32 => "int",
        DType.I64 => "i64",
        _ => "u8",
    };
}
