using CsCheck;
using Plip.Text;
using Xunit;

namespace Plip.Tests.Text;

public sealed class CaptionTokenizerTests
{
    private static CaptionTokenizer Tokenizer => TinyVocabulary.Tokenizer;

    private static string Pieces(string caption, int max = 64) => string.Join(' ', TinyVocabulary.Tokens(Tokenizer.Encode(caption, max)));

    [Theory]
    [InlineData("Blue JEANS", "[CLS] blue jeans [SEP]")]
    [InlineData("blue\tjeans\nand\r\n\u00a0shoes", "[CLS] blue jeans and shoes [SEP]")]
    [InlineData("a\u2028man\u3000wears", "[CLS] a man wears [SEP]")]
    [InlineData("bl\u00fce j\u00e9ans", "[CLS] blue jeans [SEP]")]
    [InlineData("jea\u0301ns\u0301", "[CLS] jeans [SEP]")]
    [InlineData("je\u200bans\u00ad", "[CLS] jeans [SEP]")]
    [InlineData("\0blue\ufffd\ud800 jeans", "[CLS] blue jeans [SEP]")]
    [InlineData("jeans,blue.", "[CLS] jeans , blue . [SEP]")]
    [InlineData("$+`|~", "[CLS] $ + ` | ~ [SEP]")]
    [InlineData("\U0001F600 blue", "[CLS] [UNK] blue [SEP]")]
    [InlineData("blue\u7ea2jeans", "[CLS] blue [UNK] jeans [SEP]")]
    public void Words_are_those_of_uncased_BERT(string caption, string pieces) => Assert.Equal(pieces, Pieces(caption));

    [Fact]
    public void Longest_piece_first()
    {
        var tokenizer = new CaptionTokenizer(Vocabulary.FromLines(
            ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "una", "##aff", "##able", "##ff", "##a"]));
        // The published example of WordPiece: greedy, so "una" wins and "##ff" follows.
        Assert.Equal([2, 6, 9, 8, 3], tokenizer.Encode("unaffable"));
        Assert.Equal([2, 1, 3], tokenizer.Encode("unaffordable"));
        Assert.Equal([2, 1, 5, 3], tokenizer.Encode(new string('a', 101) + " un"));
    }

    [Theory]
    [InlineData("[MASK]")]
    [InlineData("[SEP]")]
    [InlineData("[CLS]")]
    [InlineData("[PAD]")]
    [InlineData("[UNK]")]
    [InlineData("[ MASK ]")]
    [InlineData("[\u200bMASK]")]
    [InlineData("[ma\u0301sk]")]
    [InlineData("a[mask]b")]
    [InlineData("blue [SEP] jeans [CLS][PAD]")]
    public void A_special_token_typed_by_a_user_is_text(string caption)
    {
        foreach (var id in Tokenizer.Encode(caption)[1..^1]) Assert.False(TinyVocabulary.Learned.IsSpecial(id), Pieces(caption));
        foreach (var id in Tokenizer.EncodeWithPhrases(caption).Ids[1..^1]) Assert.False(TinyVocabulary.Learned.IsSpecial(id));
    }

    [Theory]
    [InlineData("")]
    [InlineData("  \t\n ")]
    [InlineData("\u200b\0\ud800\u0301")]
    public void A_caption_without_a_word_is_an_error(string caption)
    {
        Assert.Contains("Empty caption", Assert.Throws<TextException>(() => Tokenizer.Encode(caption)).Message);
        Assert.Throws<TextException>(() => Tokenizer.EncodeWithPhrases(caption));
    }

    [Fact]
    public void Long_captions_are_cut_and_keep_their_end_token()
    {
        var caption = string.Concat(Enumerable.Repeat("blue jeans and ", 1700));
        var ids = Tokenizer.Encode(caption);
        Assert.Equal(64, ids.Length);
        Assert.Equal(TinyVocabulary.Learned.Sep, ids[^1]);
        Assert.Equal("[CLS] blue [SEP]", Pieces(caption, 3));
        Assert.Equal("[CLS] blue jeans [SEP]", Pieces("blue jeans", 4)); // exactly full: nothing is lost
        Assert.Throws<ArgumentOutOfRangeException>(() => Tokenizer.Encode(caption, 2));
    }

    [Fact]
    public void A_word_of_many_pieces_is_cut_between_pieces()
    {
        var all = Tokenizer.Encode("blue zxqzxq jeans");
        var cut = Tokenizer.Encode("blue zxqzxq jeans", 5);
        Assert.Equal(all[..4], cut[..4]);
        Assert.Equal(TinyVocabulary.Learned.Sep, cut[4]);
    }

    [Theory]
    [InlineData("A man in blue jeans.", "man|blue jeans")]
    [InlineData("A  M\u00e1n\tin  BLU\u0308E   je\u200bans.", "man|blue jeans")]
    [InlineData("\U0001F600\ud800 man, in a black and white t-shirt!", "man|black and white t - shirt")]
    [InlineData("she walks", "")]
    public void Phrases_point_at_their_tokens(string caption, string expected)
    {
        var encoded = Tokenizer.EncodeWithPhrases(caption);
        Assert.Equal(Tokenizer.Encode(caption), encoded.Ids);
        Assert.Equal(expected, string.Join('|', encoded.Phrases.Select(p => string.Join(' ', TinyVocabulary.Tokens(encoded.Ids[p.Start..p.End])).Replace(" ##", ""))));
    }

    [Fact]
    public void A_phrase_cut_by_truncation_keeps_its_visible_part()
    {
        // [CLS] a man wears dark blue | jeans
        var encoded = Tokenizer.EncodeWithPhrases("a man wears dark blue jeans and red shoes", 7);
        Assert.Equal("a man wears dark blue".Split(' '), TinyVocabulary.Tokens(encoded.Ids[1..^1]));
        Assert.Equal([new TokenRange(2, 3, AttributeKind.Person), new TokenRange(4, 6, AttributeKind.Lower)], encoded.Phrases);
    }

    [Theory]
    [InlineData("A man in blue jeans, a t-shirt and a striped jacket.", "a man in blue jeans, a t-shirt and a striped jacket.")]
    [InlineData("Is it \"red\" (or blue)?", "is it \" red \" (or blue)?")]
    [InlineData("the man's 3/4 coat", "the man's 3/4 coat")]
    public void Decoding_reads_well(string caption, string expected) => Assert.Equal(expected, Tokenizer.Decode(Tokenizer.Encode(caption)));

    [Fact]
    public void Decoding_shows_masks_and_refuses_strange_ids()
    {
        var v = TinyVocabulary.Learned;
        Assert.True(v.TryGetId("blue", out var blue));
        Assert.Equal("[MASK] blue [UNK]", Tokenizer.Decode([v.Cls, v.Mask, blue, v.Unk, v.Sep, v.Pad, v.Pad]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Tokenizer.Decode([v.Size]));
    }

    [Fact]
    public void Many_threads_agree_with_one()
    {
        var captions = Enumerable.Range(0, 200).Select(i => TinyVocabulary.Captions[i % 4] + $" number {i}").ToArray();
        var alone = captions.Select(c => Tokenizer.Encode(c)).ToArray();
        var together = new int[captions.Length][];
        Parallel.For(0, captions.Length, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i => together[i] = Tokenizer.EncodeWithPhrases(captions[i]).Ids);
        Assert.Equal(alone, together);
    }

    private static readonly Gen<string> AnyText = Gen.OneOf(
        Gen.OneOf("black", "jeans", "T-shirt", "man's", "and", "[MASK]", "[SEP]", "##s", "that are", "in", ",", "/", "--", "\u00e9", "\u0130",
            "\u0301", "\u200b", "\ud83d\ude00", "\ud800", "\udc00", "\u7ea2", "\uac00", "\ufb01", "\0", "$", "hair", "bald", "sheet of", "a", "  ", "\t", "\n"),
        Gen.String[0, 6],
        Gen.String[Gen.Char.AlphaNumeric, 1, 12]).Array[0, 40].Select(parts => string.Join(parts.Length % 3 == 0 ? "" : " ", parts));

    [Fact]
    public void Any_text_gives_a_well_formed_caption() => Gen.Select(AnyText, Gen.Int[3, 70]).Sample((caption, max) =>
    {
        var v = TinyVocabulary.Learned;
        EncodedCaption encoded;
        try
        {
            encoded = Tokenizer.EncodeWithPhrases(caption, max);
        }
        catch (TextException)
        {
            // Only for a caption in which BERT's rule finds nothing to read.
            Assert.Empty(BasicWords.Of(caption).Split());
            return;
        }
        Assert.Equal(Tokenizer.Encode(caption, max), encoded.Ids);
        Assert.InRange(encoded.Ids.Length, 3, max);
        Assert.Equal((v.Cls, v.Sep), (encoded.Ids[0], encoded.Ids[^1]));
        Assert.All(encoded.Ids[1..^1], id => Assert.True(!v.IsSpecial(id) || id == v.Unk));
        var from = 1;
        foreach (var range in encoded.Phrases)
        {
            Assert.True(from <= range.Start && range.Start < range.End && range.End < encoded.Ids.Length);
            from = range.End;
        }
        var at = 0;
        foreach (var phrase in AttributePhrases.Find(caption))
        {
            Assert.True(at <= phrase.Start && phrase.Start < phrase.End && phrase.End <= caption.Length);
            at = phrase.End;
        }
    }, iter: 3000);

    [Fact]
    public void Words_know_where_they_came_from() => AnyText.Sample(caption =>
    {
        var words = BasicWords.Of(caption);
        var at = 0;
        foreach (var word in words.Split())
        {
            var (start, end) = words.Source(at, at + word.Length);
            Assert.True(0 <= start && start < end && end <= caption.Length);
            // The span alone gives the word again. (A character that decomposes into several words has one span for all.)
            Assert.Contains(word, BasicWords.Of(caption[start..end]).Split());
            at += word.Length + 1;
        }
    }, iter: 3000);
}
