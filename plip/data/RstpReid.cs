namespace Plip.Data;

/// <summary>
/// RSTPReid (Zhu et al., ACM MM 2021): data_captions.json holds {"id", "img_path", "captions", "split"}. Copies with a
/// wrong split are in circulation, hence the note where the identities are not 3701/200/200.
/// </summary>
internal static class RstpReid
{
    internal static readonly AnnotationFormat[] Formats =
    [
        new(DatasetLayout.RstpReid, "data_captions.json", "img_path", HasSplits: true),
    ];

    internal static string? SplitNote(IReadOnlyList<PersonImage> images)
    {
        int Identities(string split) => images.Where(i => i.Split == split).Select(i => i.Identity).Distinct().Count();
        var (train, val, test) = (Identities("train"), Identities("val"), Identities("test"));
        return (train, val, test) == (3701, 200, 200)
            ? null
            : FormattableString.Invariant(
                $"RSTPReid's split is 3701/200/200 identities (train/val/test); this copy has {train}/{val}/{test}: results on it do not compare");
    }
}
