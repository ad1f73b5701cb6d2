using System.Diagnostics;
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

/// <summary>Some rows of a long list of embeddings. The memory is used again for the next: copy what is to be kept.</summary>
/// <param name="Start">Index of the first row.</param>
/// <param name="Values">(rows, Dim), row-major, L2-normalised.</param>
/// <param name="Identities">The original identity of each row.</param>
public readonly record struct EmbeddingChunk(int Start, ReadOnlyMemory<float> Values, ReadOnlyMemory<int> Identities);

/// <summary>How far an embedding has come.</summary>
/// <param name="What">"pictures" or "texts".</param>
/// <param name="Done">Rows done.</param>
/// <param name="Total">Rows in all.</param>
public readonly record struct EmbeddingProgress(string What, long Done, long Total);

/// <summary>
/// Runs a model's encoders over data. The model must be in evaluation mode. The same bits for any number of threads; not for any batch:
/// products are cut into blocks by their size, so the last bits of a row depend on how many rows went with it.
/// </summary>
public static class Embedder
{
    /// <summary>Rows at once where nothing else is asked for; of captions, which are shorter, four times as many.</summary>
    public const int DefaultBatch = 64, TextsPerPicture = 4;

    /// <summary>Embeds all pictures of a data set, in order, a batch at a time.</summary>
    /// <param name="batch">Pictures at once: memory and speed depend on it, and the last bits.</param>
    /// <exception cref="NotFiniteNumberException">An embedding is NaN or infinite: the weights are of a run that diverged.</exception>
    public static IEnumerable<EmbeddingChunk> StreamImages(
        Device device, PlipModel model, EvaluationLoader loader, int batch = DefaultBatch, CancellationToken cancellation = default)
    {
        var (image, dim) = (model.Config.Image, model.Config.Text.Width);
        var values = Array.Empty<float>();
        foreach (var chunk in loader.Pictures(batch, cancellation))
        {
            if (values.Length < chunk.Count * dim) values = new float[chunk.Count * dim];
            using (device.BeginStep(recordGradients: false))
            {
                var pixels = Tensor.From(device, chunk.Images.AsSpan(0, chunk.Count * image.Height * image.Width * 3), new Shape(chunk.Count, image.Height, image.Width, 3));
                model.EmbedImages(pixels).CopyTo(values.AsSpan(0, chunk.Count * dim));
            }
            yield return new EmbeddingChunk(chunk.Start, Finite(values.AsMemory(0, chunk.Count * dim), dim, "picture", chunk.Start), chunk.Identities.AsMemory(0, chunk.Count));
        }
    }

    /// <summary>Embeds all written captions of a data set, image after image, a batch at a time.</summary>
    /// <param name="batch">Captions at once.</param>
    /// <exception cref="NotFiniteNumberException">An embedding is NaN or infinite: the weights are of a run that diverged.</exception>
    public static IEnumerable<EmbeddingChunk> StreamTexts(Device device, PlipModel model, EvaluationLoader loader, int batch = DefaultBatch * TextsPerPicture)
    {
        var dim = model.Config.Text.Width;
        var values = Array.Empty<float>();
        foreach (var chunk in loader.Texts(batch))
        {
            if (values.Length < chunk.Count * dim) values = new float[chunk.Count * dim];
            Embed(device, model, chunk.TokenIds, chunk.CuSeqlens, values.AsSpan(0, chunk.Count * dim));
            yield return new EmbeddingChunk(chunk.Start, Finite(values.AsMemory(0, chunk.Count * dim), dim, "caption", chunk.Start), chunk.Identities);
        }
    }

    /// <summary>Embeds texts of one's own as they come, a batch at a time; their identity is their index.</summary>
    /// <param name="batch">Texts at once.</param>
    /// <exception cref="FormatException">A text has no word.</exception>
    /// <exception cref="NotFiniteNumberException">An embedding is NaN or infinite: the weights are of a run that diverged.</exception>
    public static IEnumerable<EmbeddingChunk> StreamTexts(
        Device device, PlipModel model, ICaptionEncoder encoder, IEnumerable<string> texts, int batch = DefaultBatch * TextsPerPicture)
    {
        var dim = model.Config.Text.Width;
        var start = 0;
        foreach (var chunk in texts.Chunk(batch))
        {
            List<int> ids = [], offsets = [0];
            foreach (var text in chunk)
            {
                ids.AddRange(encoder.Encode(text, model.Config.Text.MaxTokens));
                offsets.Add(ids.Count);
            }
            var values = new float[chunk.Length * dim];
            Embed(device, model, [.. ids], [.. offsets], values);
            yield return new EmbeddingChunk(start, Finite(values, dim, "text", start), Enumerable.Range(start, chunk.Length).ToArray());
            start += chunk.Length;
        }
    }

    /// <summary>Embeds all pictures of a data set, in order.</summary>
    /// <param name="batch">Pictures at once.</param>
    public static Embeddings Images(
        Device device, PlipModel model, EvaluationLoader loader, int count, int batch = DefaultBatch, Action<EmbeddingProgress>? progress = null, CancellationToken cancellation = default) =>
        Collect(StreamImages(device, model, loader, batch, cancellation), count, model.Config.Text.Width, "pictures", progress);

    /// <summary>Embeds all written captions of a data set, image after image.</summary>
    public static Embeddings Texts(
        Device device, PlipModel model, EvaluationLoader loader, int batch = DefaultBatch * TextsPerPicture, Action<EmbeddingProgress>? progress = null) =>
        Collect(StreamTexts(device, model, loader, batch), loader.CaptionCount, model.Config.Text.Width, "texts", progress);

    /// <summary>Embeds texts of one's own: one row each.</summary>
    /// <exception cref="FormatException">A text has no word.</exception>
    public static float[] Texts(Device device, PlipModel model, ICaptionEncoder encoder, IReadOnlyList<string> texts, int batch = DefaultBatch * TextsPerPicture) =>
        Collect(StreamTexts(device, model, encoder, texts, batch), texts.Count, model.Config.Text.Width, "texts", null).Values;

    /// <summary>Text→image retrieval of a data set's captions among its pictures.</summary>
    /// <param name="batch">Pictures at once, and a quarter of the captions at once.</param>
    /// <exception cref="NotFiniteNumberException">An embedding is NaN or infinite: the weights are of a run that diverged.</exception>
    public static RetrievalRun Retrieve(
        Device device, PlipModel model, ICaptionEncoder encoder, PersonDataset data, string direction, IReadOnlyList<int>? samples = null,
        int batch = DefaultBatch, Action<EmbeddingProgress>? progress = null)
    {
        var loader = new EvaluationLoader(data, encoder, model.Config.Image.ToSettings(), model.Config.Text.MaxTokens, Environment.ProcessorCount);
        var watch = Stopwatch.StartNew();
        var texts = Texts(device, model, loader, checked(batch * TextsPerPicture), progress);
        var textTime = watch.Elapsed;
        var images = Images(device, model, loader, data.Images.Count, batch, progress);
        var imageTime = watch.Elapsed - textTime;
        var outcome = Retrieval.Evaluate(texts.Values, texts.Identities, images.Values, images.Identities, texts.Dim,
            new RetrievalOptions { Direction = direction, Samples = samples ?? [] });
        return new RetrievalRun(outcome, images, texts, texts.MeanNeighbourCosine()) { ImageTime = imageTime, TextTime = textTime };
    }

    private static Embeddings Collect(IEnumerable<EmbeddingChunk> chunks, int count, int dim, string what, Action<EmbeddingProgress>? progress)
    {
        var values = new float[checked(count * dim)];
        var identities = new int[count];
        foreach (var chunk in chunks)
        {
            chunk.Values.CopyTo(values.AsMemory(chunk.Start * dim));
            chunk.Identities.CopyTo(identities.AsMemory(chunk.Start));
            progress?.Invoke(new EmbeddingProgress(what, chunk.Start + chunk.Identities.Length, count));
        }
        return new Embeddings(values, identities, dim);
    }

    private static Memory<float> Finite(Memory<float> rows, int dim, string what, int start)
    {
        var bad = 0;
        foreach (var value in rows.Span)
        {
            if (!float.IsFinite(value))
                throw new NotFiniteNumberException(FormattableString.Invariant($"the embedding of {what} {start + bad / dim} is not finite: the weights are of a run that diverged"));
            bad++;
        }
        return rows;
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
public sealed record RetrievalRun(RetrievalOutcome Outcome, Embeddings Images, Embeddings Texts, double MeanTextCosine)
{
    /// <summary>What reading and embedding the pictures took.</summary>
    public TimeSpan ImageTime { get; init; }

    /// <summary>What tokenising and embedding the captions took.</summary>
    public TimeSpan TextTime { get; init; }
}
