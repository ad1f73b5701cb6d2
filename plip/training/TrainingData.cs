using Plip.Data;

namespace Plip.Training;

/// <summary>A data set's training and validation pictures. They share no identity, and the test split is never touched.</summary>
/// <param name="Train">To learn from.</param>
/// <param name="Validation">To choose checkpoints by; null when there are too few identities to spare.</param>
/// <param name="Note">How the validation set came about, for the log.</param>
public sealed record TrainingData(PersonDataset Train, PersonDataset? Validation, string Note)
{
    /// <summary>
    /// The splits "train" and "val" where the data set has them; otherwise the highest identities are held out of the
    /// training pictures, one in twenty but at most <paramref name="holdOut"/>.
    /// </summary>
    /// <exception cref="DataException">No data set, or no training pictures.</exception>
    public static TrainingData Load(string directory, string? splitFile = null, int holdOut = 200)
    {
        var all = PersonDataset.Load(directory, splitFile: splitFile);
        if (all.SplitNames.Length == 0 && splitFile == null)
        {
            // SYNTH-PEDES has no splits of its own, but a second file beside it may have them.
            var layouts = new[] { DatasetLayout.CuhkPedes, DatasetLayout.IcfgPedes, DatasetLayout.RstpReid };
            if (!Array.Exists(layouts, l => PersonDataset.Has(all.Root, l))) return HoldOut(all, holdOut);
            all = PersonDataset.Load(directory, Array.Find(layouts, l => PersonDataset.Has(all.Root, l)));
        }
        // With splits but no "train" among them, Split says so: what is there may be the test set.
        return all.SplitNames.Contains("val", StringComparer.Ordinal)
            ? new TrainingData(all.Split("train"), all.Split("val"), "validation: the data set's val split")
            : HoldOut(all.Split("train"), holdOut);
    }

    private static TrainingData HoldOut(PersonDataset data, int limit)
    {
        var identities = data.Identities; // ascending
        var held = Math.Min(limit, identities.Length / 20);
        if (held < 2) return new TrainingData(data, null, $"no validation: {identities.Length} identities are too few to hold any out");
        var first = identities[^held];
        PersonDataset Part(string name, Func<PersonImage, bool> takes) =>
            new($"{data.Name}/{name}", data.Root, data.AnnotationFile, data.Layout, [.. data.Images.Where(takes)], data.Notes);
        return new TrainingData(
            Part("train", i => i.Identity < first), Part("held-out", i => i.Identity >= first),
            FormattableString.Invariant($"validation: the {held} highest identities ({first} and up), held out of training"));
    }
}
