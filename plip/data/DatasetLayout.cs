namespace Plip.Data;

/// <summary>How a data set lies on disk.</summary>
public enum DatasetLayout
{
    /// <summary>Told from the annotation files present.</summary>
    Auto,

    /// <summary>SYNTH-PEDES: synthpedes_dataset.json; attributes and prompt captions, no splits.</summary>
    SynthPedes,

    /// <summary>CUHK-PEDES: reid_raw.json with splits, or caption_all.json with an external split file.</summary>
    CuhkPedes,

    /// <summary>ICFG-PEDES: ICFG-PEDES.json; train and test, no validation set.</summary>
    IcfgPedes,

    /// <summary>RSTPReid: data_captions.json; 3701/200/200 identities in train/val/test.</summary>
    RstpReid,

    /// <summary>Tar shards (WebDataset style): *.tar with KEY.jpg and KEY.json side by side.</summary>
    Shards,
}

/// <summary>One kind of annotation file: its layout, name, and what its entries must hold.</summary>
/// <param name="Layout">The layout it belongs to.</param>
/// <param name="FileName">The file's name in the data set's folder.</param>
/// <param name="PathKey">The key of the picture's path.</param>
/// <param name="HasSplits">Whether each entry must have a "split".</param>
/// <param name="NeedsSplitFile">Whether the file can only be used with an external split file.</param>
/// <param name="NeedsPath">Whether each entry must name its picture.</param>
internal sealed record AnnotationFormat(
    DatasetLayout Layout, string FileName, string PathKey, bool HasSplits, bool NeedsSplitFile = false, bool NeedsPath = true);
