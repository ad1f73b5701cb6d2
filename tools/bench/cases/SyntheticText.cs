using Plip.Engine;

namespace Plip.Bench;

/// <summary>Captions without words: lengths and ids as a real batch has them.</summary>
internal static class SyntheticText
{
    /// <summary>Lengths spread evenly over low … high, in an order that is fixed but not sorted.</summary>
    public static int[] Lengths(int count, int low, int high)
    {
        var random = new Philox(3, 1);
        return [.. Enumerable.Range(0, count).Select(i => low + random.Next((ulong)i, high - low + 1))];
    }

    /// <summary>Where each sequence starts, and the total at the end.</summary>
    public static int[] Offsets(int[] lengths)
    {
        var offsets = new int[lengths.Length + 1];
        for (var i = 0; i < lengths.Length; i++) offsets[i + 1] = offsets[i] + lengths[i];
        return offsets;
    }
}
