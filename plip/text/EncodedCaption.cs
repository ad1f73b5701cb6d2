namespace Plip.Text;

/// <summary>The tokens [Start, End) of a caption that one attribute phrase covers; [CLS] is token 0.</summary>
/// <param name="Start">First token of the phrase.</param>
/// <param name="End">One past its last token.</param>
/// <param name="Kind">What the phrase speaks of.</param>
public readonly record struct TokenRange(int Start, int End, AttributeKind Kind);

/// <summary>A caption as a model takes it: ids from [CLS] to [SEP] without padding, and where its attribute phrases lie.</summary>
/// <param name="Ids">Token ids, at least [CLS], one word piece and [SEP].</param>
/// <param name="Phrases">Ranges in ascending order that do not overlap; a phrase cut by truncation keeps the part that is left.</param>
public sealed record EncodedCaption(int[] Ids, TokenRange[] Phrases);
