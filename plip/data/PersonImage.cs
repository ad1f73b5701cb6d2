namespace Plip.Data;

/// <summary>One picture of a person and what is said of it.</summary>
/// <param name="Folder">Absolute folder that <paramref name="RelativePath"/> starts from; one string shared by the data set.</param>
/// <param name="RelativePath">The path as the annotation file gives it, with forward slashes.</param>
/// <param name="Identity">The identity as the annotation file gives it (not contiguous; see <see cref="PersonDataset.Labels"/>).</param>
/// <param name="Captions">The written captions; may be empty in a file that was not checked.</param>
/// <param name="PromptCaptions">Captions made from attributes by sentence templates (SYNTH-PEDES "prompt_caption"); often empty.</param>
/// <param name="Attributes">SYNTH-PEDES' six attributes as one comma-separated string, or null where the layout has none.</param>
/// <param name="Split">"train", "val", "test" or another name; null where the layout has no splits.</param>
/// <param name="Entry">Index of the entry in the annotation file, from 0.</param>
public sealed record PersonImage(
    string Folder, string RelativePath, int Identity, string[] Captions, string[] PromptCaptions,
    string? Attributes, string? Split, int Entry)
{
    /// <summary>Where the picture lies. Computed: a second path per picture would cost SYNTH-PEDES a gigabyte.</summary>
    public string FullPath => Path.Combine(Folder, RelativePath);

    /// <summary>How many texts training may draw from: captions, then prompt captions.</summary>
    public int TextCount => Captions.Length + PromptCaptions.Length;

    /// <summary>Text <paramref name="index"/> of <see cref="TextCount"/>.</summary>
    public string Text(int index) => index < Captions.Length ? Captions[index] : PromptCaptions[index - Captions.Length];
}
