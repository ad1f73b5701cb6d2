namespace Plip.Data;

/// <summary>
/// CUHK-PEDES (Li et al., CVPR 2017): reid_raw.json holds {"split", "id", "file_path", "captions", "processed_tokens"?};
/// the original caption_all.json has no "split". Taking the whole of caption_all.json for training would train on the
/// test identities, so it is refused without a split file.
/// </summary>
internal static class CuhkPedes
{
    internal static readonly AnnotationFormat[] Formats =
    [
        new(DatasetLayout.CuhkPedes, "reid_raw.json", "file_path", HasSplits: true),
        new(DatasetLayout.CuhkPedes, "caption_all.json", "file_path", HasSplits: false, NeedsSplitFile: true),
    ];

    internal static DataException SplitFileMissing(string file) => new(file, null,
        "caption_all.json says nothing of train, val and test",
        "a split file beside it: {\"train\":[identities],\"val\":[...],\"test\":[...]}; give its path, or use reid_raw.json, which has splits");
}
