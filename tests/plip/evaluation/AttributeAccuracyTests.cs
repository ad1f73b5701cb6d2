using Plip.Evaluation;
using Xunit;

namespace Plip.Tests.Evaluation;

public class AttributeAccuracyTests
{
    [Fact]
    public void Counts_first_answers_and_the_most_frequent_training_word()
    {
        var accuracy = new AttributeAccuracy([0, 3, 7, 7]); // 2 and 3 tie: the lower id
        Assert.Equal(2, accuracy.BaselineWord);
        accuracy.Add([0.1f, 0.9f, 0, 0, 5, 1, 5, 0], [1, 2]); // right; a tie of 0 and 2 answers 0: wrong
        accuracy.Add([-1, -2, -0.5f, -3], [2]);               // right
        accuracy.Add([], []);
        Assert.Equal(new AttributeResult(2.0 / 3, 2.0 / 3, 2, 3), accuracy.Result());
    }

    [Fact]
    public void Top_is_sorted_with_ties_to_the_lower_id()
    {
        Span<int> best = stackalloc int[4];
        AttributeAccuracy.Top([1, 4, 2, 4, float.NegativeInfinity, 3], best);
        Assert.Equal([1, 3, 5, 2], best.ToArray());
    }

    [Fact]
    public void Probabilities_are_the_softmax_without_overflow()
    {
        var p = AttributeAccuracy.Probabilities([1000, 1000 + MathF.Log(3), -1000], [1, 0, 2]);
        Assert.Equal(0.75f, p[0], 1e-4f); // 1000 + ln 3 in F32 is off by up to 3e-5
        Assert.Equal(0.25f, p[1], 1e-4f);
        Assert.Equal(0, p[2]);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        Assert.Throws<ArgumentException>(() => new AttributeAccuracy([0, 0]));
        var accuracy = new AttributeAccuracy([1]);
        Assert.Throws<ArgumentException>(() => accuracy.Add([1, 2, 3], [0, 0]));
        Assert.Throws<ArgumentException>(() => accuracy.Add([1, 2], [2]));
        Assert.Throws<ArgumentException>(() => accuracy.Add([1, float.NaN], [0]));
    }
}
