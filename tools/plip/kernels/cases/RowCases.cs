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
        new("linear_gelu 9x24x16", i => Ops.LinearGelu(i.Data(9, 24), i.Data(16, 24), i.Vector(16))),
    ];
}
