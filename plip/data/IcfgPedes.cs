namespace Plip.Data;

/// <summary>
/// ICFG-PEDES (Ding et al., arXiv:2107.12666): a list of {"split", "id", "file_path", "captions", "processed_tokens"?}
/// with train and test only. Nothing here makes a validation set out of the test split.
/// </summary>
internal static class IcfgPedes
{
    internal static readonly AnnotationFormat[] Formats =
    [
        new(DatasetLayout.IcfgPedes, "ICFG-PEDES.json", "file_path", HasSplits: true),
        new(DatasetLayout.IcfgPedes, "ICFG_PEDES.json", "file_path", HasSplits: true),
    ];
}
