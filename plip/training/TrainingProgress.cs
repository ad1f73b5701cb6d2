namespace Plip.Training;

/// <summary>What a run says of itself after each step.</summary>
/// <param name="Step">Steps done, those included whose update was refused.</param>
/// <param name="TotalSteps">Optimiser steps of the run.</param>
/// <param name="Epoch">The epoch, from 0.</param>
/// <param name="Loss">The total loss.</param>
/// <param name="TaskLosses">Each task's loss, not weighted, by name.</param>
/// <param name="LearningRate">The base rate of this step.</param>
/// <param name="GradientNorm">Global L2 norm before clipping, without the loss scale; not finite where the update was refused.</param>
/// <param name="ImagesPerSecond">Pictures per second, averaged over the last steps.</param>
/// <param name="Remaining">Estimated time to the end.</param>
/// <param name="Validation">The latest validation, or null before the first.</param>
/// <param name="LossScale">The factor on this step's loss, in F16; null where there is none.</param>
/// <param name="Refused">Steps of the run so far whose update was refused, for a gradient overflowed in F16.</param>
public sealed record TrainingProgress(
    long Step, long TotalSteps, long Epoch, double Loss, IReadOnlyDictionary<string, double> TaskLosses,
    double LearningRate, double GradientNorm, double ImagesPerSecond, TimeSpan Remaining, ValidationFigures? Validation,
    double? LossScale = null, long Refused = 0);

/// <summary>Figures of a validation during training, on the validation split.</summary>
/// <param name="Step">Optimiser steps done.</param>
/// <param name="R1">Text→image R@1.</param>
/// <param name="Map">Text→image mAP (AP_std): the figure by which the best checkpoint is chosen.</param>
/// <param name="MeanCosine">Mean cosine of neighbouring text embeddings: near 1 while the contrast sits on its plateau.</param>
public sealed record ValidationFigures(long Step, double R1, double Map, double MeanCosine);

/// <summary>A number that is not finite stopped a run. Nothing was updated with it; the checkpoints on disk are good.</summary>
public sealed class DivergedException(string what, long step, string? checkpoint) : IOException(
    $"{what} is not finite at step {step}. Training stopped before this step's update; " +
    (checkpoint == null
        ? "no checkpoint had been saved. Lower training.learningRate, set training.clipNorm (1 is usual) or lengthen training.warmup, and start anew."
        : $"the last good checkpoint is {checkpoint}. Lower training.learningRate, set training.clipNorm (1 is usual) or lengthen training.warmup, and resume with --resume."))
{
    /// <summary>What was not finite: "the loss of task iap", "the gradient", …</summary>
    public string What { get; } = what;

    /// <summary>Optimiser steps done before.</summary>
    public long Step { get; } = step;
}
