using Plip.Engine;

namespace Plip.Data;

/// <summary>
/// A batch of realistic shape without a data set: noise for pictures, random words for captions of 12 to 40 tokens of which
/// a quarter is masked, two pictures a person. For measuring steps; nothing can be learnt from it.
/// </summary>
internal static class SyntheticBatch
{
    private const int Shortest = 12, Longest = 40;
    private const float Masked = 0.25f;

    /// <summary>The same batch for the same arguments.</summary>
    /// <param name="size">Pairs.</param>
    /// <param name="imageSize">Floats of a picture.</param>
    /// <param name="maxTokens">Most tokens of a caption; shorter captions than usual where it is small.</param>
    /// <param name="vocabulary">Ids lie in [0, vocabulary).</param>
    /// <param name="seed">Of everything in it.</param>
    /// <param name="tokens">Tokens of every caption; 0 for lengths that differ.</param>
    /// <param name="pictures">False leaves the pictures black, for those who look at shapes alone.</param>
    public static Batch Make(int size, int imageSize, int maxTokens, int vocabulary, ulong seed, int tokens = 0, bool pictures = true)
    {
        var batch = new Batch(size, imageSize, maxTokens, _ => { });
        var (noise, words, masks, lengths) = (new Philox(seed, 0), new Philox(seed, 1), new Philox(seed, 2), new Philox(seed, 3));
        for (var i = 0; pictures && i < batch.Images.Length; i++) batch.Images[i] = noise.Normal((ulong)i);
        int low = Math.Min(Shortest, maxTokens), high = Math.Min(Longest, maxTokens), token = 0;
        if (tokens > 0) low = high = tokens;
        for (var i = 0; i < size; i++)
        {
            batch.Identities[i] = i / 2;
            var length = low + lengths.Next((ulong)i, high - low + 1);
            for (var k = 0; k < length; k++, token++)
            {
                var id = words.Next((ulong)token, vocabulary);
                // The second token always, the ends never: each caption has something to predict.
                var mask = k == 1 || (k > 0 && k < length - 1 && masks.Uniform((ulong)token) < Masked);
                batch.TokenIds[token] = id;
                batch.MaskedTokenIds[token] = mask ? 0 : id;
                batch.MaskedLabels[token] = mask ? id : -100;
                batch.LabelCount += mask ? 1 : 0;
            }
            batch.CuSeqlens[i + 1] = batch.MaskedCuSeqlens[i + 1] = token;
            batch.MaxLength = Math.Max(batch.MaxLength, length);
        }
        return batch;
    }
}
