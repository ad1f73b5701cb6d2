using Plip.Text;
using Xunit;

namespace Plip.Tests.Text;

public sealed class VocabularyTests
{
    private static readonly string[] Specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

    [Fact]
    public void Ids_are_line_numbers()
    {
        // bert-base-uncased has its specials at 0 and 100..103: nothing may assume they come first.
        var vocabulary = Vocabulary.FromLines(["[PAD]", "a", "[UNK]", "##b", "[CLS]", "[SEP]", "[MASK]", "c"]);
        Assert.Equal((0, 2, 4, 5, 6, 8), (vocabulary.Pad, vocabulary.Unk, vocabulary.Cls, vocabulary.Sep, vocabulary.Mask, vocabulary.Size));
        Assert.Equal("##b", vocabulary[3]);
        Assert.True(vocabulary.TryGetId("c", out var c));
        Assert.Equal(7, c);
        Assert.False(vocabulary.TryGetId("b", out _));
        Assert.Throws<ArgumentOutOfRangeException>(() => vocabulary[8]);
    }

    [Theory]
    [InlineData("\n")]
    [InlineData("\r\n")]
    public void A_file_comes_back_as_it_was(string lineEnd)
    {
        var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            File.WriteAllText(path, string.Join(lineEnd, [.. Specials, "é", "##s", "红"]) + lineEnd);
            var read = Vocabulary.Load(path);
            Assert.Equal([.. Specials, "é", "##s", "红"], read.Lines);
            read.Save(path);
            Assert.Equal(string.Join('\n', read.Lines) + "\n", File.ReadAllText(path));
            Assert.Equal((byte)'[', File.ReadAllBytes(path)[0]); // no byte order mark
            Assert.Equal(read.Lines, Vocabulary.Load(path).Lines);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData("[PAD]|[UNK]|[CLS]|[SEP]|[MASK]|a|b|a", "line 8", "\"a\" is already on line 6")]
    [InlineData("[PAD]|[UNK]||[CLS]|[SEP]|[MASK]", "line 3", "empty token")]
    [InlineData("[PAD]|[UNK]|[CLS]|[SEP]|[MASK]|##", "line 6", "empty token")]
    [InlineData("[PAD]|[UNK]|[CLS]|a|b", "[SEP], [MASK] missing", "in 5 lines")]
    [InlineData("", "empty", "one token a line")]
    public void A_bad_file_is_named_with_its_line(string lines, string part, string other)
    {
        var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            File.WriteAllText(path, lines.Replace('|', '\n'));
            var error = Assert.Throws<TextException>(() => Vocabulary.Load(path));
            Assert.StartsWith(path, error.Message);
            Assert.Contains(part, error.Message);
            Assert.Contains(other, error.Message);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void A_missing_or_binary_file_is_an_error_that_names_it()
    {
        var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        Assert.Contains(path, Assert.Throws<TextException>(() => Vocabulary.Load(path)).Message);
        try
        {
            File.WriteAllBytes(path, [0x50, 0x4B, 0xFF, 0xFE, 0x80]);
            Assert.Contains("not UTF-8", Assert.Throws<TextException>(() => Vocabulary.Load(path)).Message);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Learning_takes_characters_then_frequent_words_then_pieces()
    {
        var vocabulary = TinyVocabulary.Learned;
        Assert.Equal(Specials, vocabulary.Lines.Take(5));
        foreach (var token in new[] { "q", "##q", "7", "##7", "-", "jeans", "blue", "jacket" })
            Assert.True(vocabulary.TryGetId(token, out _), token);
        Assert.False(vocabulary.TryGetId("striped", out _)); // seen once
        Assert.True(vocabulary.TryGetId("jeans", out var jeans));
        Assert.True(vocabulary.TryGetId("wears", out var wears));
        Assert.True(jeans < wears); // four times against three
    }

    [Fact]
    public void Learning_merges_the_most_frequent_pair_first()
    {
        // No room for whole words beyond the three quarters: 4 tokens free, 3 words, then 1 merge.
        // "xyxyw" ×3 and "xyz" ×2 lose their place to the three words; (x, ##y) is seen 3+2 times at word starts.
        string[] captions = [.. Enumerable.Repeat("aa bb cc aa bb cc", 4), .. Enumerable.Repeat("xyz", 2), .. Enumerable.Repeat("xyxyw", 3)];
        var none = Vocabulary.Learn(captions, 5 + 36 + 32 + 36);
        Assert.Equal(109, none.Size);
        var learned = Vocabulary.Learn(captions, 113);
        Assert.Equal(["aa", "bb", "cc", "xy"], learned.Lines.Skip(109));
    }

    [Fact]
    public void Learning_does_not_depend_on_the_order_of_captions()
    {
        var forward = Vocabulary.Learn(TinyVocabulary.Captions, 250);
        var backward = Vocabulary.Learn(TinyVocabulary.Captions.Reverse(), 250);
        Assert.Equal(forward.Lines, backward.Lines);
    }

    [Fact]
    public void Learned_vocabularies_spell_every_word_of_their_alphabet()
    {
        string[] captions = ["红色 jacket naïve Ωmega 5xl", "$5 hat!"];
        var tokenizer = new CaptionTokenizer(Vocabulary.Learn(captions, 200));
        foreach (var caption in new[] { "ωaω 色红 naive 5 x $!", "zigzag (quite) unseen-words 0123" })
            Assert.DoesNotContain(tokenizer.Vocabulary.Unk, tokenizer.Encode(caption));
    }

    [Fact]
    public void Learning_from_nothing_or_into_nothing_is_an_error()
    {
        Assert.Throws<TextException>(() => Vocabulary.Learn(["", " \t"], 500));
        var error = Assert.Throws<ArgumentOutOfRangeException>(() => Vocabulary.Learn(["a hat"], 50));
        Assert.Contains("109", error.Message);
    }
}
