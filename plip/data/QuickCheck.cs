using Plip.Engine;

namespace Plip.Data;

/// <summary>What a quick look at a data set found.</summary>
/// <param name="Pictures">Entries.</param>
/// <param name="Identities">People.</param>
/// <param name="Captions">Written captions.</param>
/// <param name="Prompts">Captions made from attributes.</param>
/// <param name="Decoded">Pictures of the sample, all opened and decoded.</param>
public sealed record QuickCheckReport(int Pictures, int Identities, long Captions, long Prompts, int Decoded);

/// <summary>
/// A look at a data set in seconds, before a run of days: every annotation has a caption with words, and a sample of the
/// pictures opens and decodes. <see cref="DataCheck"/> looks at everything.
/// </summary>
public static class QuickCheck
{
    /// <summary>Checks; the sample is a function of the seed, one picture out of each of as many equal parts of the data set.</summary>
    /// <param name="data">The pictures.</param>
    /// <param name="sample">Pictures to decode; all where there are fewer.</param>
    /// <param name="seed">Which ones.</param>
    /// <exception cref="DataException">An entry without a caption, an empty caption, or a broken picture: the first of them, and how many of the sample are.</exception>
    public static QuickCheckReport Run(PersonDataset data, int sample = 256, ulong seed = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(sample);
        var (captions, prompts) = (0L, 0L);
        foreach (var image in data.Images)
        {
            (captions, prompts) = (captions + image.Captions.Length, prompts + image.PromptCaptions.Length);
            if (image.TextCount == 0) throw Wrong(image, "there is no caption", "at least one caption for each training image");
            for (var t = 0; t < image.TextCount; t++)
                if (string.IsNullOrWhiteSpace(image.Text(t)))
                    throw Wrong(image, FormattableString.Invariant($"caption {t} is empty"), "a sentence; mend or remove it (\"plip data check\" lists all such entries)");
        }
        var chosen = Spread(data.Images.Count, sample, new Philox(seed, 0xD8000000));
        var count = chosen.Length;
        var errors = new DataException?[count];
        Parallel.For(0, count, i =>
        {
            try
            {
                BatchFiller.LoadPicture(data, chosen[i]).Dispose();
            }
            catch (DataException e)
            {
                errors[i] = e;
            }
        });
        var broken = errors.Count(e => e != null);
        if (broken > 0)
        {
            var first = errors.First(e => e != null)!;
            throw new DataException(first.File, first.Place, FormattableString.Invariant($"{first.Found} ({broken} of {count} pictures that were looked at are broken)"), first.Expected + "; \"plip data check\" lists all", first);
        }
        return new QuickCheckReport(data.Images.Count, data.Identities.Length, captions, prompts, count);

        DataException Wrong(PersonImage image, string found, string expected) =>
            new(image.Shard?.Path ?? data.AnnotationFile, FormattableString.Invariant($"entry {image.Entry}, {image.RelativePath}"), found, expected);
    }

    /// <summary>So many of all indices, ascending: one out of each of as many equal parts.</summary>
    internal static int[] Spread(int all, int count, Philox random)
    {
        var chosen = new int[Math.Min(count, all)];
        for (var i = 0; i < chosen.Length; i++)
        {
            var (from, to) = ((int)((long)i * all / chosen.Length), (int)((i + 1L) * all / chosen.Length));
            chosen[i] = from + random.Next((ulong)i, to - from);
        }
        return chosen;
    }
}
