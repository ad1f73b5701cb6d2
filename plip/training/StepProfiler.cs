using Plip.Configs;
using Plip.Data;
using Plip.Engine;
using Plip.Model;

namespace Plip.Training;

/// <summary>
/// Profiles the training step of a configuration without data: the model with fresh weights, a synthetic batch, all tasks,
/// backward and the optimiser.
/// </summary>
/// <example><code>
/// using var device = new CpuDevice();
/// using var profiler = new StepProfiler(device, ConfigFile.Load("plip-tiny"));
/// var report = ProfileReport.Of(profiler.Run(steps: 5), MachinePeak.Measure(device));
/// </code></example>
public sealed class StepProfiler : IDisposable
{
    private const int VocabularySize = 2000; // where the configuration leaves it to the data

    private readonly Device _device;
    private readonly ParameterStore _store;
    private readonly Optimizer _optimizer;
    private readonly LossScaler? _scaler;
    private readonly StepRunner _runner;
    private readonly Batch _batch;
    private readonly TrainingConfig _training;

    /// <summary>Builds the model and the batch.</summary>
    /// <param name="device">Where to run.</param>
    /// <param name="config">The configuration; its training.batchSize is the batch's. Without a vocabulary size it gets 2,000 words.</param>
    /// <exception cref="ConfigException">The configuration makes no sense.</exception>
    public StepProfiler(Device device, PlipConfig config)
    {
        if (config.Text.VocabularySize == 0) config = config with { Text = config.Text with { VocabularySize = VocabularySize } };
        config.Validate();
        (_device, _training) = (device, config.Training);
        var model = new PlipModel(config);
        _batch = SyntheticBatch.Make(
            _training.BatchSize, 3 * config.Image.Height * config.Image.Width, config.Text.MaxTokens, config.Text.VocabularySize, _training.Seed);
        _store = model.Materialize(device);
        _optimizer = Recipe.Optimizer(_training, _store);
        _scaler = Recipe.Scaler(_training, device);
        _runner = new StepRunner(model, device, _scaler); // not captured: a graph is one event, its kernels are what is looked for
        model.Train();
    }

    /// <summary>Pairs in the batch.</summary>
    public int Pairs => _batch.Size;

    /// <summary>Tokens of all captions of the batch.</summary>
    public int Tokens => _batch.TokenCount;

    /// <summary>Numbers that are trained.</summary>
    public long Parameters => _store.TrainableCount;

    /// <summary>Runs steps and returns the profile of the one whose time is the median.</summary>
    /// <param name="steps">Steps to measure.</param>
    /// <param name="warmup">Steps before them: they fill the memory pool and let the compiler finish.</param>
    public Profile Run(int steps = 1, int warmup = 3)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(steps);
        for (var i = 0; i < warmup; i++) Step();
        var profiles = new Profile[steps];
        for (var i = 0; i < steps; i++)
        {
            using var profiler = Profiler.Start(_device);
            Step();
            profiles[i] = profiler.Stop();
        }
        return profiles.OrderBy(p => p.Duration).ElementAt((steps - 1) / 2);
    }

    private void Step()
    {
        _store.ZeroGrad();
        _runner.Run(_batch, 1);
        using var phase = Profiler.Phase(_device, "optimizer");
        var norm = GradientClip.Measure(_store, _training.ClipNorm > 0 ? _training.ClipNorm : double.PositiveInfinity, scaler: _scaler);
        // Noise teaches nothing; with a rate of zero the arithmetic is the same and the weights stay sound.
        _optimizer.Step(0, norm);
    }

    /// <summary>Returns the memory.</summary>
    public void Dispose()
    {
        _runner.Dispose();
        _optimizer.Dispose();
        _scaler?.Dispose();
        _store.Dispose();
    }
}
