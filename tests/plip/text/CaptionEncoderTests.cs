using Plip.Engine;
using Plip.Text;
using Xunit;

namespace Plip.Tests.Text;

public sealed class CaptionEncoderTests
{
    private static readonly string[] Captions = TinyVocabulary.Captions;

    [Fact]
    public void Gives_what_its_parts_give_each_time()
    {
        var encoder = new CaptionEncoder(TinyVocabulary.Tokenizer);
        foreach (var caption in Captions.Concat(Captions))
            foreach (var max in new[] { 8, 64 })
            {
                var ids = encoder.Encode(caption, max);
                Assert.Equal(TinyVocabulary.Tokenizer.Encode(caption, max), ids);
                ids[0] = -1; // the caller's own copy: the next call must not see this
                var random = new Philox(5, 6, 7);
                var expected = PhraseMasking.Apply(TinyVocabulary.Tokenizer.EncodeWithPhrases(caption, max), 0.4f, TinyVocabulary.Learned.Mask, random);
                var masked = encoder.EncodeMasked(caption, max, 0.4f, random);
                Assert.Equal(expected.Ids, masked.ids);
                Assert.Equal(expected.Labels, masked.labels);
                masked.ids[0] = masked.labels[0] = -1;
            }
    }

    [Fact]
    public void Keeps_no_more_than_its_capacity()
    {
        var encoder = new CaptionEncoder(TinyVocabulary.Tokenizer, capacity: 10);
        for (var i = 0; i < 100; i++)
        {
            encoder.Encode($"a man with number {i}", 64);
            encoder.Encode("a man with blue jeans", 64);
            Assert.InRange(encoder.Cached, 1, 10);
        }
        Assert.Throws<ArgumentOutOfRangeException>(() => new CaptionEncoder(TinyVocabulary.Tokenizer, 1));
    }

    [Fact]
    public void Many_threads_get_the_same_bits()
    {
        var encoder = new CaptionEncoder(TinyVocabulary.Tokenizer, capacity: 16);
        var results = new int[2000][];
        Parallel.For(0, results.Length, new ParallelOptions { MaxDegreeOfParallelism = 8 },
            i => results[i] = encoder.EncodeMasked(Captions[i % 4] + $" {i % 37}", 64, 0.5f, new Philox(1, (uint)(i % 148))).ids);
        for (var i = 148; i < results.Length; i++) Assert.Equal(results[i % 148], results[i]);
    }

    [Fact]
    public void Errors_are_not_kept_as_results()
    {
        var encoder = new CaptionEncoder(TinyVocabulary.Tokenizer);
        for (var i = 0; i < 2; i++) Assert.Throws<TextException>(() => encoder.Encode(" ", 64));
        Assert.Equal(0, encoder.Cached);
    }
}
