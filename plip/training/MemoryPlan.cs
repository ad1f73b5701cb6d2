using Plip.Configs;
using Plip.Data;
using Plip.Engine;
using Plip.Model;

namespace Plip.Training;

/// <summary>Memory of a device that has one purpose.</summary>
/// <param name="Name">The purpose, in words.</param>
/// <param name="Bytes">How much.</param>
public sealed record MemoryPart(string Name, long Bytes);

/// <summary>
/// What training with a configuration will need of a device's memory, before it runs: a step on a <see cref="PlanDevice"/>, whose tensors
/// are made and released as they would be and hold nothing.
/// </summary>
/// <remarks>
/// The same code runs as in training, so the plan follows every setting; <see cref="PeakBytes"/> is right within 5 % (MemoryPlanTests). Not in it: what
/// kernels borrow while they run, which moves the peak little and adds up to a tenth to what the pool takes for a small model, and what a
/// GPU's driver and libraries take for themselves.
/// </remarks>
/// <example><code>
/// var plan = MemoryPlan.Of(ConfigFile.Load("plip-rn50"), gpu: true);
/// foreach (var part in plan.Parts) Console.WriteLine($"{part.Name}: {part.Bytes}");
/// </code></example>
public sealed class MemoryPlan
{
    private MemoryPlan(IReadOnlyList<MemoryPart> parts, long reserved, Work work, int tokens) =>
        (Parts, ReservedBytes, Work, Tokens) = (parts, reserved, work, tokens);

    /// <summary>In the order in which memory is taken; they add up to <see cref="PeakBytes"/>.</summary>
    public IReadOnlyList<MemoryPart> Parts { get; }

    /// <summary>Most bytes of tensors in use at once.</summary>
    public long PeakBytes => Parts.Sum(p => p.Bytes);

    /// <summary>Bytes the pool takes from the system for that: sizes are rounded up, and a block may wait for another of its size.</summary>
    public long ReservedBytes { get; }

    /// <summary>The least bytes and operations of the step's kernels.</summary>
    public Work Work { get; }

    /// <summary>Tokens of each caption that was planned with.</summary>
    public int Tokens { get; }

    /// <summary>Plans a training step.</summary>
    /// <param name="config">The configuration; its training.batchSize is the batch's, and text.vocabularySize must be set.</param>
    /// <param name="gpu">For a GPU rather than the CPU device.</param>
    /// <param name="tokens">Tokens of every caption; 0 for the longest there can be.</param>
    /// <exception cref="ConfigException">The configuration makes no sense.</exception>
    /// <exception cref="ArgumentException">The vocabulary's size is not set, or captions are longer than the configuration's.</exception>
    public static MemoryPlan Of(PlipConfig config, bool gpu, int tokens = 0)
    {
        config.Validate();
        if (tokens == 0) tokens = config.Text.MaxTokens;
        if (tokens < 3 || tokens > config.Text.MaxTokens)
            throw new ArgumentException($"captions have 3 to {config.Text.MaxTokens} tokens here (text.maxTokens), not {tokens}");
        var training = config.Training;
        var parts = new List<MemoryPart>();
        using var device = new PlanDevice(gpu);
        var model = new PlipModel(config);
        using var store = model.Materialize(device);
        Add("weights", store.ValueBytes);
        Add("weights' copies in " + training.Precision, store.CopyBytes);
        Add("gradients", store.Grads.Bytes);
        using var optimizer = Recipe.Optimizer(training, store);
        Add($"moments of {training.Optimizer}", optimizer.StateBytes);
        using var ema = training.Ema > 0 ? new Ema(store, training.Ema) : null;
        Add("averaged weights", ema == null ? 0 : store.Values.Bytes);
        using var scaler = Recipe.Scaler(training, device);
        Rest(parts, device.MemoryInUse.Bytes, "running statistics and constants");
        model.Train();
        using var runner = new StepRunner(model, device, scaler);
        var batch = SyntheticBatch.Make(
            training.BatchSize, 3 * config.Image.Height * config.Image.Width, config.Text.MaxTokens, config.Text.VocabularySize, training.Seed, tokens, pictures: false);

        device.ResetPeak();
        var start = device.MemoryInUse.Bytes;
        using var profiler = Profiler.Start(device);
        runner.Run(batch, 1);
        optimizer.Step(0, GradientClip.Measure(store, scaler: scaler));
        var profile = profiler.Stop();
        var forward = profile.Events.First(e => e is { Kind: ProfileKind.Phase, Name: "forward" });
        Add("the batch", forward.MemoryInUse - start);
        parts.AddRange(Kept(profile, forward));
        Rest(parts, profile.PeakBytes, "the backward at its highest");
        return new MemoryPlan([.. parts.Where(p => p.Bytes > 0)], device.ReservedBytes, device.Total, tokens);

        void Add(string name, long bytes) => parts.Add(new MemoryPart(name, bytes));
    }

    /// <summary>The largest batch whose plan takes no more than so many bytes from the system; 0 where not even two pairs fit.</summary>
    /// <param name="config">The configuration; its batch size does not matter.</param>
    /// <param name="gpu">For a GPU rather than the CPU device.</param>
    /// <param name="bytes">The memory there is.</param>
    /// <param name="tokens">As in <see cref="Of"/>.</param>
    public static int LargestBatch(PlipConfig config, bool gpu, long bytes, int tokens = 0)
    {
        bool Fits(int size) => Of(With(size), gpu, tokens).ReservedBytes <= bytes;
        PlipConfig With(int size) => config with { Training = config.Training with { BatchSize = size, Sampler = BatchKind.Random } };
        if (!Fits(2)) return 0;
        var (fits, not) = (2, 4);
        while (not < 1 << 16 && Fits(not)) (fits, not) = (not, 2 * not);
        while (not - fits > Math.Max(1, fits / 64))
        {
            var middle = (fits + not) / 2;
            if (Fits(middle)) fits = middle;
            else not = middle;
        }
        return fits;
    }

    /// <summary>What is not accounted for yet.</summary>
    private static void Rest(List<MemoryPart> parts, long all, string name) => parts.Add(new MemoryPart(name, all - parts.Sum(p => p.Bytes)));

    /// <summary>What each phase of the forward left behind for the backward, without those inside it.</summary>
    private static IEnumerable<MemoryPart> Kept(Profile profile, ProfileEvent forward)
    {
        var phases = profile.Events.Where(e => e.Kind == ProfileKind.Phase && e.Start >= forward.Start && e.Start + e.Duration <= forward.Start + forward.Duration).ToList();
        for (var i = 0; i < phases.Count; i++)
        {
            var (own, end) = (phases[i].MemoryAfter - phases[i].MemoryInUse, phases[i].Start + phases[i].Duration);
            for (var k = i + 1; k < phases.Count && phases[k].Start < end;)
            {
                own -= phases[k].MemoryAfter - phases[k].MemoryInUse;
                var inner = phases[k].Start + phases[k].Duration;
                for (k++; k < phases.Count && phases[k].Start < inner;) k++;
            }
            yield return new MemoryPart(phases[i].Name == "forward" ? "the losses" : $"kept for the backward: {phases[i].Name}", own);
        }
    }
}
