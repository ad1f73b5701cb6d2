using Plip.Engine;

namespace Plip.Bench;

/// <summary>Reproducible values, the same for ours and for peers.</summary>
internal static class Noise
{
    // A table is repeated: times do not depend on the values, and 25 million normal deviates would take a second to draw.
    private const int Period = 65521;
    private static readonly float[] Table = Draw();

    /// <summary>scale·z + shift with z standard normal; other streams start elsewhere in the table.</summary>
    public static float[] Normal(long count, int stream, float scale = 1f, float shift = 0f)
    {
        var values = new float[count];
        for (long i = 0, at = stream * 7919L % Period; i < count; i++, at = at + 1 == Period ? 0 : at + 1) values[i] = scale * Table[at] + shift;
        return values;
    }

    /// <summary>Integers in 0 … range − 1.</summary>
    public static int[] Indices(long count, int range, int stream)
    {
        var random = new Philox(2, (uint)stream);
        var values = new int[count];
        for (var i = 0; i < values.Length; i++) values[i] = random.Next((ulong)i, range);
        return values;
    }

    /// <summary>The values of an input: floats.</summary>
    public static float[] Floats(OpInput input, int index) => Normal(input.Count, index, input.Scale, input.Shift);

    /// <summary>The values of an input: indices or offsets.</summary>
    public static int[] Integers(OpInput input, int index) =>
        input.Kind == InputKind.Offsets ? SyntheticText.Offsets(SyntheticText.Lengths(input.Shape[0] - 1, 20, 64)) : Indices(input.Count, input.Range, index);

    private static float[] Draw()
    {
        var random = new Philox(1, 1);
        var table = new float[Period];
        for (var i = 0; i < Period; i++) table[i] = random.Normal((ulong)i);
        return table;
    }
}
