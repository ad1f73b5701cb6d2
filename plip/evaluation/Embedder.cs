using Plip.Data;
using Plip.Encoders;
using Plip.Engine;
using Plip.Model;

namespace Plip.Evaluation;

/// <summary>Embeddings of pictures or texts, row-major, L2-normalised.</summary>
/// <param name="Values">(Count, Dim).</param>
/// <param name="Identities">The original identity of each row.</param>
/// <param name="Dim">Width of an embedding.</param>
public sealed record Embeddings(float[] Values, int[] Identities, int Dim)
{
    /// <summary>Number of rows.</summary>
    public int Count => Identities.Length;

    /// <summary>Mean cosine of neighbouring rows of different identities: near 1 means collapsed or not yet learning.</summary>
    public double MeanNeighbourCosine()
    {
        double sum = 0;
        var pairs = 0;
        for (var i = 1; i < Count; i++)
        {
            if (Identities[i] == Identities[i - 1]) continue;
            for (var d = 0; d < Dim; d++) sum += (double)Values[i * Dim + d] * Values[(i - 1) * Dim + d];
            pairs++;
        }
        return pairs == 0 ? 0 : sum / pairs;
    }
}

/// <summary>Runs a model's encoders over data. The model must be in evaluation mode.</summary>
public static class Embedder
{
    /// <summary>Embeds all pictures of a data set, in order.</summary>
    /// <param name="batch">Pictures at once: only memory and speed depend on it, and the last bits (blocking differs).</param>
    public static Embeddings Images(Device device, PlipModel model, EvaluationLoader loader, int count, int batch = 64, CancellationToken cancellation = default)
    {
        var (image, dim) = (model.Config.Image, model.Config.Text.Width);
        var values = new float[checked(count * dim)];
        var identities = new int[count];
        foreach (var chunk in loader.Pictures(batch, cancellation))
        {
            using var step = device.BeginStep(recordGradients: false);
            var pixels = Tensor.From(device, chunk.Images.AsSpan(0, chunk.Count * image.Height * image.Width * 3), new Shape(chunk.Count, image.Height, image.Width, 3));
            model.EmbedImages(pixels).CopyTo(values.AsSpan(chunk.Start * dim, chunk.Count * dim));
            chunk.Identities.AsSpan(0, chunk.Count).CopyTo(identities.AsSpan(chunk.Start));
        }
        return new Embeddings(values, identities, dim);
    }

    /// <summary>Embeds all written captions of a data set, image after image.</summary>
    public static Embeddings Texts(Device device, PlipModel model, EvaluationLoader loader, int batch = 256)
    {
        var dim = model.Config.Text.Width;
        var values = new float[checked(loader.CaptionCount * dim)];
        var identities = new int[loader.CaptionCount];
        foreach (var chunk in loader.Texts(batch))
        {
            Embed(device, model, chunk.TokenIds, chunk.CuSeqlens, values.AsSpan(chunk.Start * dim, chunk.Count * dim));
            chunk.Identities.CopyTo(identities, chunk.Start);
        }
        return new Embeddings(values, identities, dim);
    }

    /// <summary>Embeds texts of one's own: one row each.</summary>
    /// <exception cref="FormatException">A text has no word.</exception>
    public static float[] Texts(Device device, PlipModel model, ICaptionEncoder encoder, IReadOnlyList<string> texts, int batch = 256)
    {
        var dim = model.Config.Text.Width;
        var values = new float[checked(texts.Count * dim)];
        for (var start = 0; start < texts.Count; start += batch)
        {
            List<int> ids = [], offsets = [0];
            for (var i = start; i < Math.Min(texts.Count, start + batch); i++)
            {
                ids.AddRange(encoder.Encode(texts[i], model.Config.Text.MaxTokens));
                offsets.Add(ids.Count);
            }
            Embed(device, model, [.. ids], [.. offsets], values.AsSpan(start * dim, (offsets.Count - 1) * dim));
        }
        return values;
    }

    /// <summary>Text→image retrieval of a data set's captions among its pictures.</summary>
    /// <exception cref="NotFiniteNumberException">An embedding is NaN or infinite: the weights are of a run that diverged.</exception>
    public static RetrievalRun Retrieve(Device device, PlipModel model, ICaptionEncoder encoder, PersonDataset data, string direction, IReadOnlyList<int>? samples = null)
    {
        var loader = new EvaluationLoader(data, encoder, model.Config.Image.ToSettings(), model.Config.Text.MaxTokens, Environment.ProcessorCount);
        var texts = Texts(device, model, loader);
        var images = Images(device, model, loader, data.Images.Count);
        foreach (var (what, values) in new[] { ("caption", texts.Values), ("picture", images.Values) })
            if (Array.FindIndex(values, v => !float.IsFinite(v)) is >= 0 and var bad)
                throw new NotFiniteNumberException(FormattableString.Invariant($"the embedding of {what} {bad / texts.Dim} is not finite: the weights are of a run that diverged"));
        var outcome = Retrieval.Evaluate(texts.Values, texts.Identities, images.Values, images.Identities, texts.Dim,
            new RetrievalOptions { Direction = direction, Samples = samples ?? [] });
        return new RetrievalRun(outcome, images, texts, texts.MeanNeighbourCosine());
    }

    private static void Embed(Device device, PlipModel model, ReadOnlySpan<int> ids, ReadOnlySpan<int> offsets, Span<float> to)
    {
        using var step = device.BeginStep(recordGradients: false);
        model.EmbedText(PackedText.From(device, ids, offsets)).CopyTo(to);
    }
}

/// <summary>A retrieval with the embeddings it was computed from.</summary>
/// <param name="Outcome">Figures, chance, sampled rankings.</param>
/// <param name="Images">The gallery.</param>
/// <param name="Texts">The queries.</param>
/// <param name="MeanTextCosine">See <see cref="Embeddings.MeanNeighbourCosine"/>.</param>
public sealed record RetrievalRun(RetrievalOutcome Outcome, Embeddings Images, Embeddings Texts, double MeanTextCosine);
