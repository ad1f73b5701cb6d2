using System.Globalization;
using Plip.Configs;
using Plip.Engine;

namespace Plip.Bench.Peers;

/// <summary>Makes sure that ours and ONNX Runtime compute the same before either is timed.</summary>
internal static class OnnxAgreement
{
    /// <summary>
    /// Largest difference allowed between elements of unit vectors. Both sides compute in F32 through some fifty layers, in
    /// different orders, and come within 1e-6; a wrong mask or statistic moves an embedding by far more than this.
    /// </summary>
    public const float Tolerance = 1e-4f;

    private const int Pairs = 3;

    /// <summary>Embeds a few pictures with both, with weights and statistics that hide nothing; the largest difference.</summary>
    /// <exception cref="BenchException">They differ.</exception>
    public static float RequirePictures(PlipConfig config, int threads)
    {
        using var subject = OnnxSubject.Pictures(config, threads);
        var pixels = Pixels(config);
        subject.Unsettle(pixels, Pairs);
        using var peer = OnnxPeer.Pictures(subject.Config, subject.State, pixels, Pairs, threads);
        peer.Run();
        return RequireSame($"{config.Name}, pictures", subject.EmbedPictures(pixels, Pairs), peer.Embeddings, config.Text.Width);
    }

    /// <summary>Embeds a few captions of different lengths with both; the largest difference.</summary>
    /// <exception cref="BenchException">They differ.</exception>
    public static float RequireTexts(PlipConfig config, int threads)
    {
        using var subject = OnnxSubject.Texts(config, threads);
        subject.Unsettle(Pixels(config), Pairs);
        int[] offsets = [0, 3, 3 + config.Text.MaxTokens, 3 + config.Text.MaxTokens + 20];
        var random = new Philox(12, 2);
        var ids = new int[offsets[^1]];
        for (var i = 0; i < ids.Length; i++) ids[i] = random.Next((ulong)i, config.Text.VocabularySize);
        using var peer = OnnxPeer.Texts(subject.Config, subject.State, ids, offsets, threads);
        peer.Run();
        return RequireSame($"{config.Name}, texts", subject.EmbedTexts(ids, offsets), peer.Embeddings, config.Text.Width);
    }

    /// <summary>The largest difference between two sets of embeddings (rows, <paramref name="dim"/>).</summary>
    /// <param name="what">Named in the error.</param>
    /// <exception cref="BenchException">
    /// One is off by more than <see cref="Tolerance"/> or NaN, or the rows are so much alike that agreement says nothing.
    /// </exception>
    public static float RequireSame(string what, ReadOnlySpan<float> ours, ReadOnlySpan<float> theirs, int dim)
    {
        if (ours.Length != theirs.Length) throw new BenchException($"{what}: ours has {ours.Length} values, ONNX Runtime {theirs.Length}");
        var (largest, at) = (0f, 0);
        for (var i = 0; i < ours.Length; i++)
        {
            var difference = MathF.Abs(ours[i] - theirs[i]);
            if (difference <= largest) continue; // NaN goes on
            (largest, at) = (difference, i);
            if (float.IsNaN(difference)) break;
        }
        if (!(largest <= Tolerance))
            throw new BenchException(string.Create(CultureInfo.InvariantCulture,
                $"{what}: element {at % dim} of embedding {at / dim} is {ours[at]:R} in ours and {theirs[at]:R} in ONNX Runtime, {largest:g3} apart (at most {Tolerance:g1}); not the same work, so not timed"));
        var apart = 0f;
        for (var i = dim; i < ours.Length; i++) apart = MathF.Max(apart, MathF.Abs(ours[i] - ours[i - dim]));
        if (!(apart > 100 * Tolerance))
            throw new BenchException(string.Create(CultureInfo.InvariantCulture,
                $"{what}: the rows are within {apart:g3} of each other, so equal embeddings do not show that the inputs were used alike"));
        return largest;
    }

    private static float[] Pixels(PlipConfig config)
    {
        var random = new Philox(12, 1);
        var pixels = new float[Pairs * config.Image.Height * config.Image.Width * 3];
        for (var i = 0; i < pixels.Length; i++) pixels[i] = random.Normal((ulong)i);
        return pixels;
    }
}
