using Plip.Engine;

namespace Plip.Tool;

/// <summary>Packed sequences, and rows picked by number.</summary>
internal static class TokenCases
{
    private const int Tokens = 76;

    public static IEnumerable<KernelCase> All =>
    [
        new("segment_mean 76x37", i => Ops.SegmentMean(i.Data(Tokens, 37), i.Offsets(70, 1, 5))),
        new("segment_mean 76x40", i => Ops.SegmentMean(i.Data(Tokens, 40), i.Offsets(70, 1, 5))),
        new("add_per_sequence 76x37", i => Ops.AddPerSequence(i.Data(Tokens, 37), i.Data(3, 37), i.Offsets(70, 1, 5))),
        new("add_per_sequence 76x40, F32 added", i => Ops.AddPerSequence(i.Data(Tokens, 40), i.Wide(3, 40), i.Offsets(70, 1, 5))),
        new("embedding 300 of 7x12", i => Ops.Embedding(i.Data(7, 12), i.Indices(300, 7))),
        new("embedding 300 of 90x5", i => Ops.Embedding(i.Data(90, 5), i.Indices(300, 90))),
        new("gather_rows 70 of 3x12", i => Ops.GatherRows(i.Data(3, 12), i.Indices(70, 3))),
        new("even_offsets 300x7", i => Ops.EvenOffsets(i.Device, 300, 7)) { Types = [DType.F32] },
    ];
}
