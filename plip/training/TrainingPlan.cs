using Plip.Configs;

namespace Plip.Training;

/// <summary>A run's length and where each step stands in it, worked out once from the configuration and the data.</summary>
/// <param name="TotalSteps">Optimiser steps of the whole run.</param>
/// <param name="BatchesPerEpoch">Batches in a pass over the data.</param>
/// <param name="Accumulation">Batches in an optimiser step.</param>
/// <param name="ValidateEvery">Optimiser steps between validations.</param>
public sealed record TrainingPlan(long TotalSteps, int BatchesPerEpoch, int Accumulation, long ValidateEvery)
{
    /// <summary>The plan for so many batches in an epoch.</summary>
    public static TrainingPlan For(TrainingConfig config, int batchesPerEpoch)
    {
        var perEpoch = Math.Max(1, batchesPerEpoch / config.Accumulation);
        var total = config.Steps > 0 ? config.Steps : Math.Max(1, (long)Math.Round(config.Epochs * batchesPerEpoch / config.Accumulation));
        return new TrainingPlan(total, batchesPerEpoch, config.Accumulation, Math.Min(total, config.ValidateEvery > 0 ? config.ValidateEvery : perEpoch));
    }

    /// <summary>x in [0, 1]: the share of the run that is done when batch <paramref name="batch"/> (from 0) is drawn.</summary>
    public double Progress(long batch) => Math.Min(1.0, (double)batch / (TotalSteps * Accumulation));

    /// <summary>The epoch, from 0, in which an optimiser step falls.</summary>
    public long Epoch(long step) => step * Accumulation / BatchesPerEpoch;
}
