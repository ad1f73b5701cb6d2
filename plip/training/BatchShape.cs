using System.Numerics;
using Plip.Data;

namespace Plip.Training;

/// <summary>
/// What the shapes of a step on a GPU depend on, rounded up so that few of them occur: the tokens of a batch differ in nearly every batch, and
/// a captured graph has fixed shapes. Eight buckets an octave: an eighth more work at most, a sixteenth on average.
/// </summary>
/// <param name="Tokens">Packed tokens, at least one more than the captions have: the rest are a sequence that nothing reads.</param>
/// <param name="MaskedTokens">The same of the masked captions.</param>
/// <param name="Places">Masked places; those behind the batch's own are ignored. 0 where nothing is masked.</param>
internal readonly record struct BatchShape(int Tokens, int MaskedTokens, int Places)
{
    private const int Finest = 32; // below it a smaller bucket saves nothing: a tile of a product is larger

    /// <summary>The shape that a batch is run in.</summary>
    public static BatchShape Of(Batch batch) => new(Bucket(batch.TokenCount + 1), Bucket(batch.MaskedTokenCount + 1), Bucket(batch.LabelCount));

    /// <summary>The next multiple of an eighth of the power of two below.</summary>
    internal static int Bucket(int count)
    {
        var unit = Math.Max(Finest, (int)(BitOperations.RoundUpToPowerOf2((uint)count + 1) / 16));
        return (count + unit - 1) / unit * unit;
    }
}
