using System.Globalization;
using Plip.Engine;

namespace Plip.Tool;

/// <summary>Attention over packed sequences, by tensor cores, by the plain units, and by the rungs below; and within windows of maps.</summary>
internal static class AttentionCases
{
    public static IEnumerable<KernelCase> All =>
    [
        Attention(2, 3, 70, 0, 5, 1),
        Attention(2, 16, 66, 7),
        Attention(1, 32, 65, 17),
        Attention(2, 64, 70, 0, 5, 1),
        Attention(1, 70, 70, 0, 5, 1),
        Attention(1, 128, 70, 3),
        Attention(1, 256, 70, 0, 5, 1),
        Attention(1, 256, 49, 33),
        Attention(1, 257, 18, 3),
        Attention(1, 264, 18, 3),
        Pool(1, 64, 33, 70),
        Pool(2, 256, 33, 7),
        new("attention 66 and 0 queries of 5 and 40 keys 1x64",
            i => Ops.Attention(i.Data(66, 64), i.Data(45, 64), i.Data(45, 64), i.Offsets(66, 0), i.Offsets(5, 40), 1)),
        .. AttentionLadder.Rungs.SelectMany<Rung, KernelCase>(r => [Rung(r, 2, 64, 70, 0, 5, 1)]),
        Windows(1, 16, 8, 2, 32, 7, 3),
        Windows(3, 9, 14, 1, 32, 7, 0),
        Windows(2, 15, 10, 2, 3, 4, 1),
    ];

    /// <summary>Maps that windows do not fill, more windows than a block of the backward takes.</summary>
    private static KernelCase Windows(int pictures, int height, int width, int heads, int depth, int window, int shift) => new(
        string.Create(CultureInfo.InvariantCulture, $"window_attention {pictures}x{height}x{width} {heads}x{depth} windows of {window} shifted {shift}"),
        i =>
        {
            var (qkv, padding, table) = (i.Data(pictures, height, width, 3 * heads * depth), i.Vector(3 * heads * depth), i.Wide((2 * window - 1) * (2 * window - 1), heads));
            return Ops.WindowAttention(qkv, padding, table, heads, window, shift);
        });

    private static KernelCase Attention(int heads, int width, params int[] lengths)
    {
        var (tokens, columns) = (lengths.Sum(), heads * width);
        return new KernelCase(
            string.Create(CultureInfo.InvariantCulture, $"attention {string.Join('+', lengths)} tokens {heads}x{width}"),
            i => Ops.Attention(i.Data(tokens, columns), i.Data(tokens, columns), i.Data(tokens, columns), i.Offsets(lengths), heads));
    }

    /// <summary>One query a sequence.</summary>
    private static KernelCase Pool(int heads, int width, params int[] keys)
    {
        var (tokens, columns) = (keys.Sum(), heads * width);
        return new KernelCase(
            string.Create(CultureInfo.InvariantCulture, $"attention pool of {string.Join('+', keys)} {heads}x{width}"),
            i => Ops.Attention(
                i.Data(keys.Length, columns), i.Data(tokens, columns), i.Data(tokens, columns),
                i.Offsets([.. keys.Select(_ => 1)]), i.Offsets(keys), heads));
    }

    private static KernelCase Rung(Rung rung, int heads, int width, params int[] lengths)
    {
        var (tokens, columns) = (lengths.Sum(), heads * width);
        return new KernelCase(string.Create(CultureInfo.InvariantCulture, $"{rung.Name} {string.Join('+', lengths)} tokens {heads}x{width}"), i =>
        {
            var (q, k, v, at) = (i.Fixed(tokens, columns), i.Fixed(tokens, columns), i.Fixed(tokens, columns), i.Offsets(lengths));
            return i.Device is CpuDevice ? Ops.Attention(q, k, v, at, heads) : AttentionLadder.Run(rung, q, k, v, at, at, heads);
        });
    }
}
