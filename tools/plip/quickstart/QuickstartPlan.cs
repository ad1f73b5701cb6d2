using Plip.Configs;

namespace Plip.Tool;

/// <summary>
/// How much a quickstart does in its budget. Fixed by the budget alone, not by a clock, so the same command gives the
/// same bits; the rates behind it were measured on two cores.
/// </summary>
/// <param name="TrainIdentities">People to learn from.</param>
/// <param name="Steps">Optimiser steps.</param>
internal sealed record QuickstartPlan(int TrainIdentities, long Steps)
{
    /// <summary>Seconds that the six minutes' promise leaves after building and reporting.</summary>
    public const int DefaultBudget = 300;

    /// <summary>Test people: the figures are over 200 unseen identities, in the smallest run too.</summary>
    public const int TestIdentities = 200;

    /// <summary>Validation people.</summary>
    public const int ValidationIdentities = 60;

    // On two cores: a picture of the world takes some 5 ms and a training pair some 3.
    private const double PicturesPerSecond = 220, PairsPerSecond = 400;

    public static QuickstartPlan For(int budget, TrainingConfig config, int imagesPerIdentity)
    {
        var identities = (int)Math.Clamp(budget * 0.2 * PicturesPerSecond / imagesPerIdentity - TestIdentities - ValidationIdentities, 200, 12000);
        return new QuickstartPlan(identities, Math.Max(60, (long)(budget * 0.7 * PairsPerSecond / config.BatchSize)));
    }
}
