using System.Diagnostics;
using Plip.Configs;
using Plip.Data;
using Plip.Engine;
using Plip.Evaluation;
using Plip.Model;
using Plip.Tasks;
using Plip.Text;

namespace Plip.Training;

/// <summary>What to train on and where to leave the results.</summary>
public sealed record TrainerOptions
{
    /// <summary>Training pictures.</summary>
    public required PersonDataset Train { get; init; }

    /// <summary>Validation pictures: other identities than the training's and never the test split; null for none.</summary>
    public PersonDataset? Validation { get; init; }

    /// <summary>Folder for metrics.jsonl and checkpoints/{best,last}.</summary>
    public required string Folder { get; init; }

    /// <summary>Go on from checkpoints/last.</summary>
    public bool Resume { get; init; }

    /// <summary>Bytes for keeping resized pictures between epochs.</summary>
    public long CacheBytes { get; init; } = 1L << 30;

    /// <summary>Called with a new run's model and memory before anything else reads them, to start from given weights; not when a run is resumed.</summary>
    public Action<PlipModel, ParameterStore>? Start { get; init; }

    /// <summary>Called after every step, on the training thread.</summary>
    public Action<TrainingProgress>? Progress { get; init; }

    /// <summary>Called with what a user should know: a damaged checkpoint that was passed over, say.</summary>
    public Action<string>? Warning { get; init; }
}

/// <summary>
/// Trains a model with all its tasks. The same configuration, data and seed give the same bits, for any number of
/// threads, whether or not the run was interrupted: everything random is a function of (seed, step).
/// </summary>
/// <example><code>
/// using var device = new CpuDevice();
/// var data = PersonDataset.Load("world");
/// using var trainer = new Trainer(device, ConfigFile.Load("plip-tiny"), Vocabulary.Learn(captions, 1000), new() { Train = data, Folder = "out" });
/// trainer.Run();
/// </code></example>
public sealed class Trainer : IDisposable
{
    private readonly Device _device;
    private readonly TrainerOptions _options;
    private readonly CaptionEncoder _captions;
    private readonly Optimizer _optimizer;
    private readonly Ema? _ema;
    private readonly LossScaler? _scaler;
    private readonly MaskingCurriculum _curriculum;
    private readonly RunFolder _folder;
    private TrainerState _state = new();
    private readonly GarbageMeter _garbage = new();
    private ValidationFigures? _latest;
    private GradientNorm _norm;

    /// <summary>Builds the model and its optimiser, or reads them from the last checkpoint.</summary>
    /// <param name="device">Where to train.</param>
    /// <param name="config">The configuration; its text.vocabularySize is set from the vocabulary.</param>
    /// <param name="vocabulary">Word pieces.</param>
    /// <param name="options">Data and folder.</param>
    /// <exception cref="ConfigException">
    /// Resuming with another configuration than the checkpoint's. Learning rate, warm-up, clipping, workers and the rhythm of
    /// validation may differ: the first three are what a diverged run needs changed.
    /// </exception>
    public Trainer(Device device, PlipConfig config, Vocabulary vocabulary, TrainerOptions options)
    {
        (_device, _options) = (device, options);
        config = config with { Text = config.Text with { VocabularySize = vocabulary.Size } };
        config.Validate();
        Model = new PlipModel(config);
        Vocabulary = vocabulary;
        Store = Model.Materialize(device);
        if (!options.Resume) Begin(options.Start);
        _optimizer = Recipe.Optimizer(config.Training, Store);
        _ema = config.Training.Ema > 0 ? new Ema(Store, config.Training.Ema) : null;
        _scaler = Recipe.Scaler(config.Training, device);
        if (device is CudaDevice gpu) gpu.AllowTf32 = config.Training.Tf32; // the configuration decides, whatever ran on the device before
        _captions = new CaptionEncoder(new CaptionTokenizer(vocabulary));
        _curriculum = MaskingCurriculum.Parse(config.Tasks.Iap.Curriculum);
        _folder = new RunFolder(options.Folder, options.Warning);
        if (!options.Resume) return;
        try
        {
            _state = _folder.Resume(config, vocabulary, Store, _optimizer, _ema, _scaler);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The model being trained.</summary>
    public PlipModel Model { get; }

    /// <summary>Its memory.</summary>
    public ParameterStore Store { get; }

    /// <summary>Its words.</summary>
    public Vocabulary Vocabulary { get; }

    /// <summary>Steps done, those included whose update was refused.</summary>
    public long Step => _state.Step;

    /// <summary>Steps whose update was refused, for a gradient overflowed in F16; they are among <see cref="Step"/>.</summary>
    public long Refused => _state.Refused;

    /// <summary>The factor on the loss; null where the precision needs none.</summary>
    internal LossScaler? Scaler => _scaler;

    /// <summary>Batches, and updates, that were replays of a CUDA graph in the latest <see cref="Run"/>.</summary>
    public (long Batches, long Updates) Replays { get; private set; }

    /// <summary>
    /// What the garbage collector did in the last whole epoch (in the only one, if there was no second): in the steady state no
    /// collection beyond the youngest generation. It depends on timing and is therefore no part of metrics.jsonl, whose bits do not.
    /// </summary>
    public EpochGarbage Garbage => _garbage.Last is { } last && _garbage.Current.Steps < last.Steps ? last : _garbage.Current;

    /// <summary>Trains to the end of the plan, or until cancelled: then the run is saved and can be resumed.</summary>
    /// <param name="until">Stop (and save) after this many optimiser steps in all; 0 for the plan's end.</param>
    /// <param name="cancellation">Checked between steps.</param>
    /// <returns>True when the plan was finished.</returns>
    /// <exception cref="DivergedException">
    /// A loss, a gradient or, at a validation, the model is not finite; nothing was updated with it or saved. In F16 a gradient is that only where the
    /// loss is not scaled any more: until then the update is refused and the scale halved.
    /// </exception>
    /// <exception cref="DataException">A picture or caption cannot be used; names the file and entry.</exception>
    public bool Run(long until = 0, CancellationToken cancellation = default)
    {
        var config = Model.Config;
        var settings = BatchSettings(config, _options.CacheBytes);
        var sampler = new IdentityBatchSampler(_options.Train, settings.BatchSize, settings.Seed, settings.Kind, settings.ImagesPerIdentity, settings.BlockSize, settings.OpenBlocks);
        var plan = TrainingPlan.For(config.Training, sampler.BatchesPerEpoch);
        using var loader = new BatchLoader(
            _options.Train, _captions, settings, batch => _curriculum.At(plan.Progress(batch)), startStep: _state.Step * plan.Accumulation);
        var schedule = Recipe.Schedule(config.Training, plan.TotalSteps);
        var end = until > 0 ? Math.Min(until, plan.TotalSteps) : plan.TotalSteps;
        using var runner = new StepRunner(Model, _device, _scaler, config.Training.CudaGraphs);
        using var update = new Replayed(_device, config.Training.CudaGraphs);
        using var log = new MetricsLog(_folder.Metrics, _state.Step > 0 ? _state.Step : null);
        var speed = new Speed();
        Model.Train();
        while (_state.Step < end)
        {
            if (cancellation.IsCancellationRequested)
            {
                SaveLast();
                return false;
            }
            _garbage.Begin(plan.Epoch(_state.Step));
            var scale = _scaler?.Scale;
            var (losses, norm, rate) = Update(loader, runner, update, schedule);
            var seen = speed.Tick(config.Training.BatchSize * config.Training.Accumulation);
            KeyValuePair<string, double>[] scaled = scale is { } s ? [new("loss_scale", s), new("refused_updates", _state.Refused)] : [];
            log.Write("train", _state.Step, [.. losses.Tasks.Select(t => KeyValuePair.Create(t.Key, t.Value)),
                new("loss", losses.Total), new("learning_rate", rate), new("gradient_norm", norm), .. scaled]);
            _garbage.End();
            Replays = (runner.Replays, update.Replays);
            if (_state.Step % plan.ValidateEvery == 0 || _state.Step == plan.TotalSteps) Validate(log);
            _options.Progress?.Invoke(new TrainingProgress(
                _state.Step, plan.TotalSteps, plan.Epoch(_state.Step - 1), losses.Total, losses.Tasks, rate, norm, seen,
                speed.Remaining(plan.TotalSteps - _state.Step), _latest, scale, _state.Refused));
        }
        if (_state.Step % plan.ValidateEvery != 0 && _state.Step != plan.TotalSteps) SaveLast();
        return _state.Step == plan.TotalSteps;
    }

    private void Begin(Action<PlipModel, ParameterStore>? start)
    {
        try
        {
            start?.Invoke(Model, Store);
        }
        catch
        {
            Store.Dispose();
            throw;
        }
    }

    private (StepLosses Losses, double Norm, float Rate) Update(BatchLoader loader, StepRunner runner, Replayed update, ILearningRate schedule)
    {
        var training = Model.Config.Training;
        Store.ZeroGrad();
        var parts = new StepLosses[training.Accumulation];
        for (var i = 0; i < parts.Length; i++)
        {
            // Not cancellable: a step that has begun is finished, so that what is saved is a whole number of steps.
            using var batch = loader.Next();
            parts[i] = runner.Run(batch, 1f / training.Accumulation);
            foreach (var (task, loss) in parts[i].Tasks)
                if (!double.IsFinite(loss)) throw new DivergedException($"the loss of task {task}", _state.Step, _folder.LastGood);
        }
        using var phase = Profiler.Phase(_device, "optimizer");
        var rate = schedule.At(_state.Step);
        _optimizer.Prepare(rate);
        _ema?.Prepare();
        update.Run(() =>
        {
            _norm = GradientClip.Measure(Store, training.ClipNorm > 0 ? training.ClipNorm : double.PositiveInfinity, scaler: _scaler);
            _optimizer.Apply(_norm); // touches nothing where the norm is not finite
            _ema?.Apply(_norm);
        });
        // Read behind the update, so that a GPU does not wait for the host in the middle of it.
        var length = _norm.Norm;
        var finite = double.IsFinite(length);
        if (!finite && _scaler is not { CanShrink: true }) throw new DivergedException("the gradient", _state.Step, _folder.LastGood);
        _scaler?.Update(finite);
        // A refused update is a step of the plan all the same: batches, rate and curriculum stay functions of the step alone.
        _state = _state with { Step = _state.Step + 1, Refused = _state.Refused + (finite ? 0 : 1) };
        return (StepLosses.Mean(parts), length, rate);
    }

    /// <summary>Scores the validation split with the weights that would be saved, keeps the best, saves the last.</summary>
    private void Validate(MetricsLog log)
    {
        RequireFinite();
        if (_options.Validation is { } validation)
        {
            using (_ema?.Swap())
            {
                Model.Eval();
                var figures = Score(validation);
                _latest = new ValidationFigures(_state.Step, figures.Outcome.Figures.R1, figures.Outcome.Figures.Map, figures.MeanTextCosine);
                if (_latest.Map >= _state.BestMap)
                {
                    _state = _state with { BestMap = _latest.Map, BestStep = _state.Step };
                    _folder.SaveBest(Model.Config, Vocabulary, Store, _state);
                }
                Model.Train();
            }
            log.Write("validation", _state.Step, [new("r1", _latest.R1), new("map", _latest.Map), new("text_cosine", _latest.MeanCosine)]);
        }
        else
        {
            // Without a validation split the latest is the best there is.
            using (_ema?.Swap()) _folder.SaveBest(Model.Config, Vocabulary, Store, _state);
        }
        SaveLast();
    }

    private RetrievalRun Score(PersonDataset validation)
    {
        try
        {
            return Embedder.Retrieve(_device, Model, _captions, validation, "text→image, validation split");
        }
        catch (NotFiniteNumberException)
        {
            throw new DivergedException("an embedding of the validation split", _state.Step, _folder.LastGood);
        }
    }

    /// <summary>An update from finite gradients may still overflow: such weights must not take a good checkpoint's place.</summary>
    private void RequireFinite()
    {
        using var step = _device.BeginStep(recordGradients: false);
        if (!float.IsFinite(Ops.Sum(Store.Values).Item())) throw new DivergedException("a weight", _state.Step, _folder.LastGood);
    }

    private void SaveLast() => _folder.SaveLast(Model.Config, Vocabulary, Store, _optimizer, _ema, _scaler, _state);

    internal static BatchSettings BatchSettings(PlipConfig config, long cacheBytes) => new()
    {
        BatchSize = config.Training.BatchSize,
        MaxTokens = config.Text.MaxTokens,
        Image = config.Image.ToSettings(config.Training.Flip, config.Training.Shift),
        Seed = config.Training.Seed,
        Kind = config.Training.Sampler,
        ImagesPerIdentity = config.Training.ImagesPerIdentity,
        BlockSize = config.Training.BlockSize,
        OpenBlocks = config.Training.OpenBlocks,
        Workers = config.Training.Workers,
        CacheBytes = cacheBytes,
    };

    /// <inheritdoc/>
    public void Dispose()
    {
        _optimizer.Dispose();
        _ema?.Dispose();
        _scaler?.Dispose();
        Store.Dispose();
    }

    /// <summary>Pictures per second over about the last twenty steps.</summary>
    private sealed class Speed
    {
        private readonly Queue<(long Time, int Images)> _recent = new();
        private long _last = Stopwatch.GetTimestamp();
        private double _secondsPerStep;

        public double Tick(int images)
        {
            var now = Stopwatch.GetTimestamp();
            _secondsPerStep = _secondsPerStep == 0 ? Stopwatch.GetElapsedTime(_last, now).TotalSeconds : 0.95 * _secondsPerStep + 0.05 * Stopwatch.GetElapsedTime(_last, now).TotalSeconds;
            _last = now;
            _recent.Enqueue((now, images));
            if (_recent.Count > 20) _recent.Dequeue();
            var (first, _) = _recent.Peek();
            var seconds = Stopwatch.GetElapsedTime(first, now).TotalSeconds;
            return seconds > 0 ? _recent.Skip(1).Sum(r => r.Images) / seconds : 0;
        }

        public TimeSpan Remaining(long steps) => TimeSpan.FromSeconds(Math.Min(_secondsPerStep * steps, 1e8));
    }
}
