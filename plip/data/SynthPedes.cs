namespace Plip.Data;

/// <summary>
/// SYNTH-PEDES (PLIP, section 3 and appendix): a list of {"id", "file_path", "attributes": [one string], "captions",
/// "prompt_caption"}; both spellings of the file's name are in circulation. It has no splits; an external split file may
/// give some, and an entry's own "split" is accepted.
/// </summary>
internal static class SynthPedes
{
    internal static readonly AnnotationFormat[] Formats =
    [
        new(DatasetLayout.SynthPedes, "synthpedes_dataset.json", "file_path", HasSplits: false),
        new(DatasetLayout.SynthPedes, "synthpedes-dataset.json", "file_path", HasSplits: false),
    ];
}
