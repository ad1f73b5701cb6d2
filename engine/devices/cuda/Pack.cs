namespace Plip.Engine;

/// <summary>How many neighbouring elements a thread moves at once: 16 bytes of them where every address allows it, else one.</summary>
internal static class Pack
{
    /// <summary>For tensors that are walked from end to end.</summary>
    public static int Of(DType type, Tensor a, Tensor? b = null, Tensor? c = null, Tensor? d = null) =>
        IsAligned(a) && IsAligned(b) && IsAligned(c) && IsAligned(d) ? 16 / type.Size() : 1;

    /// <summary>For rows: those after the first begin at a multiple of 16 bytes only when a row's length is one.</summary>
    public static int Of(DType type, int cols, Tensor a, Tensor? b = null, Tensor? c = null, Tensor? d = null) =>
        cols % (16 / type.Size()) == 0 ? Of(type, a, b, c, d) : 1;

    private static bool IsAligned(Tensor? x) => x == null || x.Address % 16 == 0;
}
