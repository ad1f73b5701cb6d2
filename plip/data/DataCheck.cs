namespace Plip.Data;

/// <summary>Settings of <see cref="DataCheck"/>.</summary>
public sealed record DataCheckSettings
{
    /// <summary>Decode every picture (minutes for 100,000); else only look whether it is there.</summary>
    public bool Decode { get; init; } = true;

    /// <summary>Threads that decode.</summary>
    public int Workers { get; init; } = Environment.ProcessorCount;

    /// <summary>How many cases of each finding are listed; all are counted.</summary>
    public int ListCap { get; init; } = 50;

    /// <summary>Captions of more words are reported; training cuts them to the model's tokens.</summary>
    public int MaxWords { get; init; } = 1000;
}

/// <summary>
/// Looks at a whole data set before anybody trains on it: counts, and everything that would stop or spoil a run. Findings
/// come in the order of the annotation file, whichever thread found them.
/// </summary>
public static class DataCheck
{
    private static readonly (string Name, int Last)[] Buckets =
        [("0", 0), ("1-9", 9), ("10-19", 19), ("20-29", 29), ("30-39", 39), ("40-59", 59), ("60-99", 99), ("100-999", 999), ("1000+", int.MaxValue)];

    /// <summary>Loads and checks the data set in a folder.</summary>
    /// <exception cref="DataException">The annotation file cannot be read at all.</exception>
    public static DataCheckReport Run(string dir, DataCheckSettings? settings = null, CancellationToken cancellation = default) =>
        Run(PersonDataset.Load(dir), settings, cancellation);

    /// <summary>Checks a data set.</summary>
    public static DataCheckReport Run(PersonDataset data, DataCheckSettings? settings = null, CancellationToken cancellation = default)
    {
        settings ??= new DataCheckSettings();
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(settings.Workers);
        ArgumentOutOfRangeException.ThrowIfNegative(settings.ListCap);
        var histogram = new int[Buckets.Length];
        List<int> words = [];
        var broken = new Cases("missing or broken picture", true, settings);
        var empty = new Cases("empty caption", true, settings);
        var none = new Cases("entry without a caption", true, settings);
        var shared = new Cases("identity in two splits", true, settings);
        var contradiction = new Cases("picture listed twice with different identities or splits", true, settings);
        var duplicate = new Cases("picture listed twice", false, settings);
        var tooLong = new Cases($"caption of more than {settings.MaxWords} words (cut in training)", false, settings);
        var mask = new Cases("\"[MASK]\" typed in a caption", false, settings);

        var firstByPath = new Dictionary<string, int>(data.Images.Count, StringComparer.Ordinal);
        for (var i = 0; i < data.Images.Count; i++)
        {
            var image = data.Images[i];
            var place = FormattableString.Invariant($"entry {image.Entry}, {image.RelativePath}");
            if (image.TextCount == 0) none.Add(place);
            for (var t = 0; t < image.TextCount; t++)
            {
                var caption = image.Text(t);
                var count = CountWords(caption);
                if (t < image.Captions.Length)
                {
                    words.Add(count);
                    histogram[Array.FindIndex(Buckets, b => count <= b.Last)]++;
                }
                if (count == 0) empty.Add($"{place}, caption {t}");
                if (count > settings.MaxWords) tooLong.Add($"{place}, caption {t}: {count} words");
                if (caption.Contains("[MASK]", StringComparison.OrdinalIgnoreCase)) mask.Add($"{place}, caption {t}");
            }
            if (firstByPath.TryAdd(image.RelativePath, i)) continue;
            var other = data.Images[firstByPath[image.RelativePath]];
            var same = other.Identity == image.Identity && other.Split == image.Split;
            (same ? duplicate : contradiction).Add(same ? $"{place}: also entry {other.Entry}"
                : $"{place}: identity {image.Identity}, split {image.Split ?? "none"}; entry {other.Entry}: identity {other.Identity}, split {other.Split ?? "none"}");
        }
        foreach (var person in data.Images.Where(i => i.Split is not null).GroupBy(i => i.Identity).OrderBy(g => g.Key))
        {
            var splits = person.Select(i => i.Split!).Distinct().Order(StringComparer.Ordinal).ToArray();
            if (splits.Length > 1) shared.Add($"identity {person.Key}: {string.Join(", ", splits)}");
        }
        int[] files = [.. firstByPath.Values.Order()];
        foreach (var error in Decode(data, files, settings, cancellation))
            if (error is not null) broken.Add(error);

        var names = data.SplitNames;
        SplitCounts[] splitCounts = names.Length == 0
            ? [Count("(all)", data.Images)]
            : [.. names.Select(n => Count(n, data.Images.Where(i => i.Split == n))), .. Unassigned(data)];
        Cases[] all = [broken, none, empty, shared, contradiction, duplicate, tooLong, mask];
        return new DataCheckReport(data.Name, data.AnnotationFile, data.Layout, splitCounts,
            new CaptionLengths(Spread.Of(words), [.. Buckets.Select((b, i) => new Bucket(b.Name, histogram[i]))]),
            settings.Decode ? files.Length : 0, [.. all.Select(c => c.ToFinding())], [.. data.Notes]);
    }

    /// <summary>The error of each file, null where it is sound; by index, so that the order does not depend on threads.</summary>
    private static string?[] Decode(PersonDataset data, int[] files, DataCheckSettings settings, CancellationToken cancellation)
    {
        var errors = new string?[files.Length];
        Parallel.For(0, files.Length, new ParallelOptions { MaxDegreeOfParallelism = settings.Workers, CancellationToken = cancellation }, f =>
        {
            var image = data.Images[files[f]];
            try
            {
                if (settings.Decode) image.Borrow().Dispose();
                else if (image.Shard == null && !File.Exists(image.FullPath)) throw new DataException(image.FullPath, null, "the picture is missing", "a JPEG or PNG file");
            }
            catch (DataException e)
            {
                errors[f] = FormattableString.Invariant($"entry {image.Entry}, {e.File}{(e.Place == null ? "" : $", {e.Place}")}: {e.Found}");
            }
        });
        return errors;
    }

    private static SplitCounts Count(string name, IEnumerable<PersonImage> images)
    {
        var list = images.ToList();
        var perIdentity = list.GroupBy(i => i.Identity).Select(g => g.Count()).ToList();
        return new(name, list.Count, perIdentity.Count, list.Sum(i => i.Captions.Length), list.Sum(i => i.PromptCaptions.Length), Spread.Of(perIdentity));
    }

    private static IEnumerable<SplitCounts> Unassigned(PersonDataset data)
    {
        var without = data.Images.Where(i => i.Split is null).ToList();
        if (without.Count > 0) yield return Count("(none)", without);
    }

    private static int CountWords(string caption)
    {
        var (words, inside) = (0, false);
        foreach (var c in caption)
        {
            var letter = !char.IsWhiteSpace(c);
            if (letter && !inside) words++;
            inside = letter;
        }
        return words;
    }

    /// <summary>Counts all cases and lists the first.</summary>
    private sealed class Cases(string kind, bool isError, DataCheckSettings settings)
    {
        private readonly List<string> listed = [];
        private int count;

        internal void Add(string item)
        {
            count++;
            if (listed.Count < settings.ListCap) listed.Add(item);
        }

        internal Finding ToFinding() => new(kind, isError, count, [.. listed]);
    }
}
