using Plip.Configs;
using Plip.Data;
using Plip.Engine;
using Plip.Model;
using Plip.Training;

namespace Plip.Bench;

/// <summary>A model at a batch size.</summary>
/// <param name="Config">A built-in configuration's name.</param>
/// <param name="Batch">Pairs, pictures or texts at once.</param>
/// <param name="Words">Size of the vocabulary: what the quickstart learns, and BERT's.</param>
internal sealed record ModelSpec(string Config, int Batch, int Words)
{
    // A small rate: a step on noise must not lead to numbers that are slow to compute with.
    public const float LearningRate = 1e-5f;

    public static IReadOnlyList<ModelSpec> Steps { get; } = [new("plip-tiny", 64, 2000), new("plip-rn50", 8, 30522)];

    /// <summary>On a GPU: the paper's batch.</summary>
    public static IReadOnlyList<ModelSpec> GpuSteps { get; } = [new("plip-tiny", 64, 2000), new("plip-rn50", 128, 30522)];

    public Precision Precision { get; init; } = Precision.F32;

    public string StepName => FormattableString.Invariant($"step {Config} batch {Batch}{(Precision == Precision.BF16 ? " bf16" : "")}");

    public PlipConfig Load()
    {
        var config = ConfigFile.Load(Config);
        config.Text.VocabularySize = Words;
        return config with { Training = config.Training with { Precision = Precision } };
    }
}

/// <summary>
/// One training step as the trainer makes it: all three tasks forward and backward, the gradient's norm, the optimiser.
/// AdamW in both models, for LibTorch has no Adan.
/// </summary>
internal static class StepCases
{
    public static IEnumerable<BenchCase> All => ModelSpec.Steps.Select(Case);

    public static BenchCase Case(ModelSpec spec)
    {
        var config = spec.Load();
        return new BenchCase(
            "step", spec.StepName, ModelCost.Step(config, SyntheticBatch.For(config, spec.Batch)), 28 * TrainedParameters(config), device => Ours(device, config, spec.Batch))
        { Items = spec.Batch, ItemName = "pairs" };
    }

    private static Timed Ours(Device device, PlipConfig config, int size)
    {
        var model = new PlipModel(config);
        var store = model.Materialize(device);
        var optimizer = new AdamW(store, weightDecay: config.Training.WeightDecay);
        var runner = new StepRunner(model, device);
        var batch = Fill(SyntheticBatch.For(config, size), config.Text.MaxTokens);
        model.Train();
        StepLosses Step()
        {
            store.ZeroGrad();
            var losses = runner.Run(batch, 1f);
            var norm = GradientClip.Measure(store);
            optimizer.Step(ModelSpec.LearningRate, norm);
            return losses;
        }
        return new Timed(() => Step(), release: () =>
        {
            batch.Dispose();
            optimizer.Dispose();
            store.Dispose();
        }, facts: () => Facts(store, Step()));
    }

    // Dropout draws other masks in the peer, and sums are in another order: the losses agree to a few per cent, not in their digits.
    private static Fact[] Facts(ParameterStore store, StepLosses losses) =>
        [new("parameters", store.ParameterCount, 0), new("trained parameters", store.TrainableCount, 0), .. losses.Tasks.Select(t => new Fact($"loss {t.Key}", t.Value, 0.05))];

    private static Batch Fill(SyntheticBatch from, int maxTokens)
    {
        var batch = new Batch(from.Size, from.Images.Length / from.Size, maxTokens, _ => { }) { Step = 1, LabelCount = from.Places.Length };
        from.Images.CopyTo(batch.Images, 0);
        from.Identities.CopyTo(batch.Identities, 0);
        from.Ids.CopyTo(batch.TokenIds, 0);
        from.Offsets.CopyTo(batch.CuSeqlens, 0);
        from.Masked.CopyTo(batch.MaskedTokenIds, 0);
        from.Offsets.CopyTo(batch.MaskedCuSeqlens, 0);
        from.Labels.CopyTo(batch.MaskedLabels, 0);
        batch.MaxLength = from.Offsets.Zip(from.Offsets.Skip(1), (a, b) => b - a).Max();
        return batch;
    }

    private static double TrainedParameters(PlipConfig config)
    {
        var model = new PlipModel(config);
        return model.NamedParameters().Where(p => !(p.Name.StartsWith("textual.", StringComparison.Ordinal) && model.Textual.IsFrozen(p.Name["textual.".Length..]))).Sum(p => (double)p.Parameter.Shape.Count);
    }
}
