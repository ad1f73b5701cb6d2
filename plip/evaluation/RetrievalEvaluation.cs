using Plip.Data;
using Plip.Model;

namespace Plip.Evaluation;

/// <summary>Retrieval of one split in both directions, beside the rival that only compares colour words with colours.</summary>
/// <param name="TextToImage">Captions search pictures, with the embeddings.</param>
/// <param name="ImageToText">Pictures search captions.</param>
/// <param name="Baseline">Colour words search pictures.</param>
public sealed record RetrievalEvaluation(RetrievalRun TextToImage, RetrievalResult ImageToText, RetrievalResult Baseline)
{
    /// <summary>Evaluates a checkpoint.</summary>
    /// <param name="plip">The checkpoint.</param>
    /// <param name="data">One split.</param>
    /// <param name="split">Its name, for the protocol's words.</param>
    /// <param name="samples">Queries whose first ten hits are wanted.</param>
    /// <param name="batch">Pictures at once.</param>
    /// <param name="progress">Called after each batch.</param>
    public static RetrievalEvaluation Run(
        PlipCheckpoint plip, PersonDataset data, string split, IReadOnlyList<int>? samples = null, int batch = Embedder.DefaultBatch, Action<EmbeddingProgress>? progress = null)
    {
        var forth = Embedder.Retrieve(plip.Device, plip.Model, plip.Captions, data, $"text→image, {split} split", samples, batch, progress);
        var back = Retrieval.Evaluate(
            forth.Images.Values, forth.Images.Identities, forth.Texts.Values, forth.Texts.Identities, forth.Texts.Dim,
            new RetrievalOptions { Direction = $"image→text, {split} split" });
        return new RetrievalEvaluation(forth, back.Figures, Colours(data, split));
    }

    /// <summary>The colour baseline's figures on the same queries and gallery.</summary>
    private static RetrievalResult Colours(PersonDataset data, string split)
    {
        var dim = ColourBaseline.Dimensions;
        var pictures = new float[checked(data.Images.Count * dim)];
        Parallel.For(0, data.Images.Count, i =>
        {
            var picture = data.Images[i].Load();
            ColourBaseline.Embed(picture.Rgb, picture.Width, picture.Height).CopyTo(pictures, i * dim);
        });
        ColourBaseline.Centre(pictures, ColourBaseline.Mean(pictures));
        var captions = data.Images.SelectMany(i => i.Captions.Select(c => (i.Identity, Caption: c))).ToArray();
        var texts = new float[checked(captions.Length * dim)];
        for (var i = 0; i < captions.Length; i++) ColourBaseline.Embed(captions[i].Caption).CopyTo(texts, i * dim);
        return Retrieval.Evaluate(
            texts, captions.Select(c => c.Identity).ToArray(), pictures, data.Images.Select(i => i.Identity).ToArray(), dim,
            new RetrievalOptions { Direction = $"text→image by colour words, {split} split" }).Figures;
    }
}
