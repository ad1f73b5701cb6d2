using Plip.Engine;

namespace Plip.Tool;

/// <summary>Along the last axis: normalisations, softmax, products.</summary>
internal static class RowCases
{
    public static IEnumerable<KernelCase> All =>
    [
        new("layer_norm 70x70", i => Ops.LayerNorm(i.Data(70, 70), i.Vector(70, 1), i.Vector(70))),
        new("layer_norm 9x64", i => Ops.LayerNorm(i.Data(9, 64), i.Vector(64, 1), i.Vector(64))),
        new("layer_norm 11x1536", i => Ops.LayerNorm(i.Data(11, 1536), i.Vector(1536, 1), i.Vector(1536))),
        AddLayerNorm(70, 70, 0.3f),
        AddLayerNorm(9, 64, 0.3f),
        AddLayerNorm(5, 768, 0),
        .. LayerNormLadder.Rungs.SelectMany(r => new[] { 70, 600 }.Select(cols => new KernelCase(
            FormattableString.Invariant($"{r.Name} 300x{cols}"), i => LayerNormLadder.Run(r, i.Fixed(300, cols), i.Statistics(cols, 1), i.Statistics(cols))))),
        .. SoftmaxLadder.Rungs.SelectMany(r => new[] { 7, 600 }.Select(cols => new KernelCase(
            FormattableString.Invariant($"{r.Name} 9x{cols}"), i => SoftmaxLadder.Run(r, i.Fixed(9, cols))))),
        new("softmax 7x53", i => Ops.Softmax(i.Data(7, 53))),
        new("softmax 3x1500", i => Ops.Softmax(i.Data(3, 1500))),
        new("softmax 2x9001", i => Ops.Softmax(i.Data(2, 9001))),
        new("log_softmax 5x64", i => Ops.LogSoftmax(i.Data(5, 64))),
        new("log_softmax 3x1500", i => Ops.LogSoftmax(i.Data(3, 1500))),
        new("l2_normalize 7x53", i => Ops.L2Normalize(i.Data(7, 53))),
        new("l2_normalize 3x1500", i => Ops.L2Normalize(i.Data(3, 1500))),
        new("arg_max 7x53", i => Ops.ArgMax(i.Fixed(7, 53))),
        new("arg_max 3x1500", i => Ops.ArgMax(i.Fixed(3, 1500))),
        new("matmul 9x20x13", i => Ops.MatMul(i.Data(9, 20), i.Data(20, 13))),
        new("linear 9x20x13", i => Ops.Linear(i.Data(9, 20), i.Data(13, 20), i.Vector(13))),
        new("linear_gelu 70x24x13", i => Ops.LinearGelu(i.Data(70, 24), i.Data(13, 24), i.Vector(13))),
        new("linear_gelu 9x24x16", i => Ops.LinearGelu(i.Data(9, 24), i.Data(16, 24), i.Vector(16))),
    ];

    private static KernelCase AddLayerNorm(int rows, int cols, float p) => new(
        FormattableString.Invariant($"add_layer_norm {rows}x{cols} p {p}"),
        i => Ops.AddLayerNorm(i.Data(rows, cols), i.Data(rows, cols), i.Vector(cols, 1), i.Vector(cols), 1e-12f, p, new Philox(1, 2, 3)));
}
