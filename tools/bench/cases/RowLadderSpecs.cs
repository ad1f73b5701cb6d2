using Plip.Engine;

namespace Plip.Bench;

/// <summary>The rungs below layer norm and softmax, at the shapes of the ops themselves; on a GPU alone.</summary>
internal static class RowLadderSpecs
{
    public static IEnumerable<OpSpec> Of(Sizes sizes) =>
    [
        .. LayerNormLadder.Rungs.Select(r => PictureSpecs.Both(
            r.Name.Replace(' ', '_'), [sizes.Tokens, 768],
            [Plain(sizes.Tokens, 768), Plain(768) with { Shift = 1, Scale = 0.1f }, Plain(768)], 2, 0, t => LayerNormLadder.Run(r, t[0], t[1], t[2], 1e-12f))[0]),
        .. SoftmaxLadder.Rungs.Select(r => PictureSpecs.Both(r.Name.Replace(' ', '_'), [sizes.Tokens, 64], [Plain(sizes.Tokens, 64)], 2, 0, t => SoftmaxLadder.Run(r, t[0]))[0]),
    ];

    private static OpInput Plain(params int[] shape) => new(InputKind.Plain, shape);
}
