using Plip.Configs;
using Plip.Engine;

namespace Plip.Training;

/// <summary>Turns the training section of a configuration into an optimiser and a schedule.</summary>
public static class Recipe
{
    /// <summary>The optimiser, with the paper's defaults for what the configuration does not say.</summary>
    public static Optimizer Optimizer(TrainingConfig config, ParameterStore store) => config.Optimizer switch
    {
        OptimizerKind.Adan => new Adan(store, weightDecay: config.WeightDecay),
        OptimizerKind.AdamW => new AdamW(store, weightDecay: config.WeightDecay),
        OptimizerKind.Sgd => new Sgd(store, momentum: 0.9f, weightDecay: config.WeightDecay),
        _ => throw new ConfigException($"training.optimizer: there is no {config.Optimizer}"),
    };

    /// <summary>The factor on the loss that F16 needs, on a device; null where the precision needs none.</summary>
    public static LossScaler? Scaler(TrainingConfig config, Device device) => config.Precision == Precision.F16 ? new LossScaler(device) : null;

    /// <summary>Linear warm-up into the chosen schedule, over <paramref name="total"/> steps.</summary>
    public static ILearningRate Schedule(TrainingConfig config, long total)
    {
        var warmup = (long)Math.Round(config.Warmup * total);
        ILearningRate then = config.Schedule switch
        {
            ScheduleKind.MultiStep => new MultiStep(config.LearningRate, [.. config.Milestones.Select(m => (long)Math.Round(m * total))]),
            ScheduleKind.Cosine => new Cosine(config.LearningRate, total, warmup),
            ScheduleKind.Constant => new ConstantRate(config.LearningRate),
            _ => throw new ConfigException($"training.schedule: there is no {config.Schedule}"),
        };
        return warmup > 0 ? new LinearWarmup(warmup, then) : then;
    }
}
