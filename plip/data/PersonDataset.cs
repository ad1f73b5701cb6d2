namespace Plip.Data;

/// <summary>
/// Pictures of people with their captions and identities, read from one of the layouts. Reading touches the annotation
/// file only, or the headers and annotations of shards; whether the pictures are sound is <see cref="DataCheck"/>'s question.
/// </summary>
public sealed class PersonDataset
{
    private static readonly AnnotationFormat[] Formats =
        [.. SynthPedes.Formats, .. CuhkPedes.Formats, .. IcfgPedes.Formats, .. RstpReid.Formats];

    private readonly Lazy<(int[] Labels, int[] Identities)> contiguous;

    /// <summary>Makes a data set of images that are in memory already, such as a filtered copy of another.</summary>
    /// <param name="name">A short name for reports.</param>
    /// <param name="root">The folder it came from.</param>
    /// <param name="annotationFile">The file that errors shall name.</param>
    /// <param name="layout">Its layout.</param>
    /// <param name="images">The images, in the order that batches and galleries index.</param>
    /// <param name="notes">What a reader of results should know, such as an unusual split.</param>
    public PersonDataset(string name, string root, string annotationFile, DatasetLayout layout,
        IReadOnlyList<PersonImage> images, IReadOnlyList<string>? notes = null)
    {
        (Name, Root, AnnotationFile, Layout, Images, Notes) = (name, root, annotationFile, layout, images, notes ?? []);
        contiguous = new(Remap);
    }

    /// <summary>A short name for reports: the folder's name, and after <see cref="Split"/> the split's.</summary>
    public string Name { get; }

    /// <summary>The folder, absolute.</summary>
    public string Root { get; }

    /// <summary>The annotation file, or the folder of the shards (the shard, if it is one), absolute.</summary>
    public string AnnotationFile { get; }

    /// <summary>The layout it was read as; never <see cref="DatasetLayout.Auto"/> after <see cref="Load"/>.</summary>
    public DatasetLayout Layout { get; }

    /// <summary>The images in the order of the file.</summary>
    public IReadOnlyList<PersonImage> Images { get; }

    /// <summary>What a reader of results should know, such as an unusual split.</summary>
    public IReadOnlyList<string> Notes { get; }

    /// <summary>The identities of <see cref="Images"/> remapped to 0..K-1 in ascending order of the originals; one per image.</summary>
    public int[] Labels => contiguous.Value.Labels;

    /// <summary>The original identity of each label.</summary>
    public int[] Identities => contiguous.Value.Identities;

    /// <summary>The splits present, ordinally sorted; empty where the layout has none.</summary>
    public string[] SplitNames => [.. Images.Select(i => i.Split).OfType<string>().Distinct().Order(StringComparer.Ordinal)];

    /// <summary>Reads a data set.</summary>
    /// <param name="dir">Its folder, or one .tar. Pictures are looked for in its imgs/ where that exists, else in the folder itself.</param>
    /// <param name="layout">Its layout, or Auto to tell by the annotation files present. With several, a file with splits is
    /// preferred if <paramref name="split"/> is given, SYNTH-PEDES (which has attributes) if not; shards are what is taken where there is none.</param>
    /// <param name="splitFile">External split {"train":[identities],…}; takes the place of the entries' own splits.</param>
    /// <param name="split">Only this split; null for all images.</param>
    /// <exception cref="DataException">No known annotation file, a malformed one, or no such split.</exception>
    public static PersonDataset Load(string dir, DatasetLayout layout = DatasetLayout.Auto, string? splitFile = null, string? split = null)
    {
        var root = Path.TrimEndingDirectorySeparator(Path.GetFullPath(dir));
        if (IsShards(root, layout)) return LoadShards(root, splitFile, split);
        var format = Choose(root, layout, splitFile is not null, split is not null);
        var file = Path.Combine(root, format.FileName);
        if (format.NeedsSplitFile && splitFile is null) throw CuhkPedes.SplitFileMissing(file);
        var pictures = Path.Combine(root, "imgs");
        var images = new AnnotationReader(file, Directory.Exists(pictures) ? pictures : root, format).Read();
        if (images.Count == 0) throw new DataException(file, null, "the list is empty", "at least one entry");
        if (splitFile is not null) images = SplitFile.Apply(Path.GetFullPath(splitFile), file, images);
        var note = format.Layout == DatasetLayout.RstpReid ? RstpReid.SplitNote(images) : null;
        var all = new PersonDataset(new DirectoryInfo(root).Name, root, file, format.Layout, images, note is null ? [] : [note]);
        return split is null ? all : all.Split(split);
    }

    /// <summary>Whether the path is to be read as shards: asked for, a .tar itself, or a folder with some and without an annotation file.</summary>
    private static bool IsShards(string root, DatasetLayout layout)
    {
        if (layout == DatasetLayout.Shards)
            return Directory.Exists(root) || File.Exists(root) ? true : throw new DataException(root, null, "there is no such file or folder", "a .tar or a folder of them");
        if (layout != DatasetLayout.Auto) return false;
        if (!Directory.Exists(root)) return ShardIndex.IsShard(root) && File.Exists(root);
        return !Formats.Any(f => File.Exists(Path.Combine(root, f.FileName))) && ShardIndex.Find(root).Length > 0;
    }

    private static PersonDataset LoadShards(string root, string? splitFile, string? split)
    {
        if (ShardIndex.Find(root).Length == 0) throw new DataException(root, null, "there are no shards", "files ending in .tar");
        var notes = new List<string>();
        var images = ShardIndex.Load(root, notes);
        if (splitFile is not null) images = SplitFile.Apply(Path.GetFullPath(splitFile), root, images);
        var all = new PersonDataset(Path.GetFileName(root), root, root, DatasetLayout.Shards, images, notes);
        return split is null ? all : all.Split(split);
    }

    /// <summary>The images of one split, in order.</summary>
    /// <exception cref="DataException">There is no such split; the message lists those there are.</exception>
    public PersonDataset Split(string name)
    {
        var chosen = Images.Where(i => i.Split == name).ToArray();
        if (chosen.Length > 0) return new PersonDataset($"{Name}/{name}", Root, AnnotationFile, Layout, chosen, Notes);
        var names = SplitNames;
        throw new DataException(AnnotationFile, null, $"there is no split \"{name}\"", names.Length == 0
            ? "a layout with splits, or a split file: {\"train\":[identities],\"val\":[...],\"test\":[...]}"
            : "one of " + string.Join(", ", names) + (Layout == DatasetLayout.IcfgPedes && name == "val" ? "; ICFG-PEDES has no validation set" : ""));
    }

    /// <summary>Whether a folder holds an annotation file of this layout that names its splits itself.</summary>
    internal static bool Has(string root, DatasetLayout layout) =>
        Formats.Any(f => f.Layout == layout && f.HasSplits && File.Exists(Path.Combine(root, f.FileName)));

    private static AnnotationFormat Choose(string root, DatasetLayout layout, bool hasSplitFile, bool wantsSplit)
    {
        if (!Directory.Exists(root)) throw new DataException(root, null, "there is no such folder", "the folder of a data set");
        var candidates = Formats.Where(f => layout == DatasetLayout.Auto || f.Layout == layout).ToArray();
        var present = candidates.Where(f => File.Exists(Path.Combine(root, f.FileName))).ToArray();
        if (present.Length == 0)
            throw new DataException(root, null, "no annotation file of " + (layout == DatasetLayout.Auto ? "a known layout" : layout.ToString()),
                "one of " + string.Join(", ", candidates.Select(f => f.FileName)) + (layout == DatasetLayout.Auto ? ", or shards ending in .tar" : ""));
        // Stable: among equals the order of the list above decides. A file that cannot be used as things are comes last.
        return present.OrderBy(f => f.NeedsSplitFile && !hasSplitFile)
            .ThenByDescending(f => wantsSplit && (f.HasSplits || f.NeedsSplitFile)).First();
    }

    private (int[] Labels, int[] Identities) Remap()
    {
        var identities = Images.Select(i => i.Identity).Distinct().Order().ToArray();
        return ([.. Images.Select(i => Array.BinarySearch(identities, i.Identity))], identities);
    }
}
