using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;
using Plip.Model;

namespace Plip.Bench;

/// <summary>Embedding pictures and texts with a trained model's shapes, in evaluation mode.</summary>
internal static class EmbeddingCases
{
    public static IReadOnlyList<ModelSpec> Models { get; } = [new("plip-tiny", 64, 2000), new("plip-rn50", 16, 30522)];

    public static string Pictures(ModelSpec spec) => FormattableString.Invariant($"embed_images {spec.Config} batch {spec.Batch}");

    public static string Texts(ModelSpec spec) => FormattableString.Invariant($"embed_texts {spec.Config} batch {spec.Batch}");

    public static IEnumerable<BenchCase> All => Models.SelectMany(Cases);

    public static BenchCase[] Cases(ModelSpec spec)
    {
        var config = spec.Load();
        var text = config.Text;
        var lengths = SyntheticText.Lengths(spec.Batch, 12, 40);
        return
        [
            new BenchCase("embedding", Pictures(spec), ModelCost.Pictures(config, spec.Batch), 0, device => Images(device, config, spec.Batch)) { Items = spec.Batch, ItemName = "pictures" },
            new BenchCase("embedding", Texts(spec), ModelCost.Blocks(text, text.Layers, lengths), 0, device => Captions(device, config, spec.Batch)) { Items = spec.Batch, ItemName = "texts" },
        ];
    }

    private static Timed Images(Device device, PlipConfig config, int size)
    {
        var (image, pixels) = (config.Image, SyntheticBatch.For(config, size).Images);
        var embeddings = new float[size * config.Text.Width];
        return Evaluate(device, config, embeddings, model => model.EmbedImages(Tensor.From(device, pixels, new Shape(size, image.Height, image.Width, 3))));
    }

    private static Timed Captions(Device device, PlipConfig config, int size)
    {
        var batch = SyntheticBatch.For(config, size);
        var embeddings = new float[size * config.Text.Width];
        return Evaluate(device, config, embeddings, model => model.EmbedText(PackedText.From(device, batch.Ids, batch.Offsets)));
    }

    // As Embedder does it: values in, one step, embeddings out to the host.
    private static Timed Evaluate(Device device, PlipConfig config, float[] embeddings, Func<PlipModel, Tensor> embed)
    {
        var model = new PlipModel(config);
        var store = model.Materialize(device, training: false);
        model.Eval();
        void Run()
        {
            using var step = device.BeginStep(recordGradients: false);
            embed(model).CopyTo<float>(embeddings);
        }
        return new Timed(Run, release: store.Dispose, facts: () =>
        {
            Run();
            // The peer has the same weights and inputs, so its embeddings are these.
            return [new("roughness of the embeddings", Roughness(embeddings), 1e-3)];
        });
    }

    /// <summary>A figure that any error in an embedding moves.</summary>
    internal static double Roughness(ReadOnlySpan<float> values)
    {
        var sum = 0.0;
        for (var i = 1; i < values.Length; i++) sum += ((double)values[i] - values[i - 1]) * ((double)values[i] - values[i - 1]);
        return sum;
    }
}
