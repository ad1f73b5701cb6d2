namespace Plip.Data;

/// <summary>One picture of a person and what is said of it.</summary>
/// <param name="Folder">Absolute folder that <paramref name="RelativePath"/> starts from, or the shard's file; one string shared by many pictures.</param>
/// <param name="RelativePath">The path as the annotation file gives it, with forward slashes.</param>
/// <param name="Identity">The identity as the annotation file gives it (not contiguous; see <see cref="PersonDataset.Labels"/>).</param>
/// <param name="Captions">The written captions; may be empty in a file that was not checked.</param>
/// <param name="PromptCaptions">Captions made from attributes by sentence templates (SYNTH-PEDES "prompt_caption"); often empty.</param>
/// <param name="Attributes">SYNTH-PEDES' six attributes as one comma-separated string, or null where the layout has none.</param>
/// <param name="Split">"train", "val", "test" or another name; null where the layout has no splits.</param>
/// <param name="Entry">Index of the entry in the annotation file, or of the picture in its shard, from 0.</param>
public sealed record PersonImage(
    string Folder, string RelativePath, int Identity, string[] Captions, string[] PromptCaptions,
    string? Attributes, string? Split, int Entry)
{
    /// <summary>
    /// Where the picture lies; in a shard no file is there, so open pictures by <see cref="Load"/>. Computed: a second path per
    /// picture would cost SYNTH-PEDES a gigabyte.
    /// </summary>
    public string FullPath => Path.Combine(Folder, RelativePath);

    /// <summary>The archive that holds the picture; null for a file of its own.</summary>
    internal Shard? Shard { get; init; }

    /// <summary>Where its bytes start in the archive.</summary>
    internal long Offset { get; init; }

    /// <summary>How many they are.</summary>
    internal int Length { get; init; }

    /// <summary>Reads and decodes the picture, from its file or out of its shard.</summary>
    /// <exception cref="DataException">It is missing, broken or too large; names file or shard, member and byte.</exception>
    public Picture Load()
    {
        using var borrowed = Borrow();
        return new Picture(borrowed.Width, borrowed.Height, borrowed.Rgb.ToArray());
    }

    /// <summary>As <see cref="Load"/>, into memory from a pool.</summary>
    internal BorrowedPicture Borrow() => Shard != null ? Shard.Borrow(Offset, Length) : Picture.Borrow(FullPath);

    /// <summary>How many texts training may draw from: captions, then prompt captions.</summary>
    public int TextCount => Captions.Length + PromptCaptions.Length;

    /// <summary>Text <paramref name="index"/> of <see cref="TextCount"/>.</summary>
    public string Text(int index) => index < Captions.Length ? Captions[index] : PromptCaptions[index - Captions.Length];
}
