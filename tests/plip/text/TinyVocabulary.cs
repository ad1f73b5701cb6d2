using Plip.Text;

namespace Plip.Tests.Text;

/// <summary>A vocabulary small enough to read, for tests that name ids.</summary>
internal static class TinyVocabulary
{
    public static readonly string[] Captions =
    [
        "A man with short brown hair wears a black and white striped t-shirt, blue jeans and grey shoes.",
        "The woman wears a red jacket, dark blue jeans and carries a large red backpack on her back.",
        "A young man in a black jacket, blue jeans and white shoes.",
        "The man is bald and wears jeans that are dark blue.",
    ];

    public static Vocabulary Learned { get; } = Vocabulary.Learn(Captions, 400);

    public static CaptionTokenizer Tokenizer { get; } = new(Learned);

    public static string[] Tokens(IEnumerable<int> ids) => [.. ids.Select(id => Learned[id])];
}
