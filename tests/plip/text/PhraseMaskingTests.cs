using Plip.Engine;
using Plip.Text;
using Xunit;

namespace Plip.Tests.Text;

public sealed class PhraseMaskingTests
{
    private static readonly EncodedCaption Caption = TinyVocabulary.Tokenizer.EncodeWithPhrases(TinyVocabulary.Captions[0]);
    private static readonly int Mask = TinyVocabulary.Learned.Mask;

    [Fact]
    public void Whole_phrases_are_masked_and_labelled()
    {
        Assert.Equal(5, Caption.Phrases.Length); // man; short brown hair; … t-shirt; blue jeans; grey shoes
        var partly = 0;
        for (var step = 0u; step < 200; step++)
        {
            var (ids, labels) = PhraseMasking.Apply(Caption, 0.5f, Mask, new Philox(1, 2, step));
            for (var t = 0; t < ids.Length; t++)
            {
                Assert.Equal(ids[t] == Mask, labels[t] != PhraseMasking.Ignore);
                Assert.Equal(Caption.Ids[t], labels[t] == PhraseMasking.Ignore ? ids[t] : labels[t]);
                if (!Caption.Phrases.Any(p => p.Start <= t && t < p.End)) Assert.Equal(PhraseMasking.Ignore, labels[t]);
            }
            var masked = Caption.Phrases.Count(p => ids[p.Start] == Mask);
            Assert.All(Caption.Phrases, p => Assert.Single(ids[p.Start..p.End].Select(id => id == Mask).Distinct()));
            Assert.InRange(masked, 1, 5);
            if (masked is > 1 and < 5) partly++;
        }
        Assert.True(partly > 100);
    }

    [Theory]
    [InlineData(0.2)]
    [InlineData(0.5)]
    [InlineData(0.8)]
    public void The_share_of_masked_phrases_is_the_probability(double p)
    {
        const int draws = 4000;
        var masked = 0;
        for (var step = 0u; step < draws; step++)
        {
            var (ids, _) = PhraseMasking.Apply(Caption, (float)p, Mask, new Philox(9, 1, step));
            masked += Caption.Phrases.Count(range => ids[range.Start] == Mask);
        }
        // One is forced where none was drawn: probability (1−p)^5 for one more phrase.
        var expected = 5 * p + Math.Pow(1 - p, 5);
        // Five standard deviations of a mean of `draws` sums of five Bernoulli draws.
        Assert.Equal(expected, masked / (double)draws, 5 * Math.Sqrt(5 * p * (1 - p) / draws));
    }

    [Fact]
    public void The_ends_of_the_range_mask_one_and_all()
    {
        var chosen = new HashSet<int>();
        for (var step = 0u; step < 100; step++)
        {
            var (ids, _) = PhraseMasking.Apply(Caption, 0f, Mask, new Philox(3, 0, step));
            chosen.Add(Assert.Single(Enumerable.Range(0, 5), i => ids[Caption.Phrases[i].Start] == Mask));
        }
        Assert.Equal(5, chosen.Count); // the forced choice is not always the same one
        Assert.All(Caption.Phrases, p => Assert.Equal(Mask, PhraseMasking.Apply(Caption, 1f, Mask, new Philox(3, 0)).Ids[p.Start]));
    }

    [Fact]
    public void A_caption_without_a_phrase_predicts_nothing()
    {
        var none = TinyVocabulary.Tokenizer.EncodeWithPhrases("she is walking down the street");
        var (ids, labels) = PhraseMasking.Apply(none, 1f, Mask, new Philox(1, 1));
        Assert.Equal(none.Ids, ids);
        Assert.All(labels, label => Assert.Equal(-100, label));
    }

    [Theory]
    [InlineData(-0.1f)]
    [InlineData(1.1f)]
    [InlineData(float.NaN)]
    public void A_probability_outside_zero_to_one_is_refused(float p) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => PhraseMasking.Apply(Caption, p, Mask, new Philox(1, 1)));
}
