using Plip.Engine;

namespace Plip.Tool;

/// <summary>Element by element, moving, and sums of everything.</summary>
internal static class ElementCases
{
    public static IEnumerable<KernelCase> All =>
    [
        new("add 17x137", i => Ops.Add(i.Data(17, 137), i.Data(17, 137))),
        new("subtract 5x64", i => Ops.Subtract(i.Data(5, 64), i.Data(5, 64))),
        new("multiply 17x137", i => Ops.Multiply(i.Data(17, 137), i.Data(17, 137))),
        new("affine 17x137", i => Ops.Affine(i.Data(17, 137), 0.5f, 0.25f)),
        new("full 17x137", i => Ops.Full(i.Device, new Shape(17, 137), 0.75f)) { Types = [DType.F32] },
        new("weighted_sum", i => Ops.WeightedSum([(i.Wide(1), 0.5f), (i.Wide(1), 2f)])) { Types = [DType.F32] },
        new("accumulate 17x137", i =>
        {
            Ops.AddInto(i.Watch(i.Statistics(2329), "sum"), Ops.Reshape(i.Fixed(17, 137), 2329));
            return null;
        }),
        new("gelu 17x137", i => Ops.Gelu(i.Data(17, 137))),
        new("relu 5x64", i => Ops.Relu(i.Data(5, 64))),
        new("sigmoid 17x137", i => Ops.Sigmoid(i.Data(17, 137))),
        new("tanh 5x64", i => Ops.Tanh(i.Data(5, 64))),
        new("stochastic_depth 7x40x16", i => Ops.AddStochasticDepth(i.Data(7, 40, 16), i.Data(7, 40, 16), 0.4f, new Philox(1, 2, 3))),
        new("stochastic_depth 5x113", i => Ops.AddStochasticDepth(i.Data(5, 113), i.Data(5, 113), 0.4f, new Philox(1, 2, 3))),
        new("dropout 5x67", i => Ops.Dropout(i.Data(5, 67), 0.3f, new Philox(1, 2, 3))),
        new("dropout 5x67, step in memory", i => Ops.Dropout(i.Data(5, 67), 0.3f, new Philox(1, 2, 3), i.Integers(9))),
        new("dropout 4x64", i => Ops.Dropout(i.Data(4, 64), 0.3f, new Philox(1, 2, 3))),
        new("cast 17x137", i => Ops.Cast(i.Data(17, 137), DType.F32)),
        new("cast to 17x137", i => Ops.Cast(i.Wide(17, 137), i.Stored)),
        new("cast integers", i => Ops.Cast(Ops.Cast(i.Integers(3, -1, 70000), DType.I64), DType.I32)) { Types = [DType.F32] },
        new("cast bytes 37", i => Ops.Cast(Bytes(i, 37), DType.F32)) { Types = [DType.F32] },
        new("concat 3x2+5x2+1x2", i => Ops.Concat([i.Data(2, 3, 5), i.Data(2, 1, 5), i.Data(2, 4, 5)], 1)),
        new("concat 8+4 columns", i => Ops.Concat([i.Data(3, 8), i.Data(3, 4)], 1)),
        new("concat bytes", i => Ops.Concat([Bytes(i, 21), Bytes(i, 6)], 0)) { Types = [DType.F32] },
        new("slice 3 of 7", i => Ops.Slice(i.Data(3, 7, 5), 1, 2, 3)),
        new("slice 8 of 24", i => Ops.Slice(i.Data(5, 24), 1, 8, 8)),
        new("sum 10007", i => Ops.Sum(i.Data(10007))),
        new("mean 17x137", i => Ops.Mean(i.Data(17, 137))),
        new("sum_rows 600x37", i => Ops.SumRows(i.Data(600, 37))),
        new("broadcast_rows 9x37", i => Ops.BroadcastRows(i.Vector(37), new Shape(9, 37), i.Stored)),
        new("broadcast_rows 300x40", i => Ops.BroadcastRows(i.Data(40), new Shape(300, 40))),
        new("to_gray 2x5x7", i => Ops.ToGray(i.Fixed(2, 5, 7, 3), [0.48f, 0.46f, 0.41f], [0.27f, 0.26f, 0.28f])),
    ];

    private static Tensor Bytes(CaseInputs inputs, int count) =>
        Tensor.From(inputs.Device, [.. Enumerable.Range(0, count).Select(k => (byte)(k * 37))], new Shape(count));
}
