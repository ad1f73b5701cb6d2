using System.Numerics;
using Plip.Engine;
using Plip.Evaluation;
using Xunit;

namespace Plip.Tests.Evaluation;

public class ChanceTests
{
    private static double[] Metrics(int[] ranks) =>
    [
        RankMetrics.RecallAt(ranks, 1), RankMetrics.RecallAt(ranks, 5), RankMetrics.RecallAt(ranks, 10),
        RankMetrics.AveragePrecision(ranks), RankMetrics.TrapezoidalAveragePrecision(ranks), RankMetrics.InverseNegativePenalty(ranks),
    ];

    private static double[] Values(ChanceLevel c) => [c.R1, c.R5, c.R10, c.Map, c.MapTrap, c.Minp];

    /// <summary>All placements of N relevant items among G are equally likely, so for a small G the mean over all is the truth.</summary>
    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 7)]
    [InlineData(3, 9)]
    [InlineData(5, 12)]
    [InlineData(12, 12)]
    public void Equals_the_mean_over_every_placement(int relevant, int gallery)
    {
        var sums = new double[6];
        var placements = 0;
        for (var set = 0u; set < 1u << gallery; set++)
        {
            if (BitOperations.PopCount(set) != relevant) continue;
            placements++;
            var metrics = Metrics([.. Enumerable.Range(0, gallery).Where(i => (set >> i & 1) == 1).Select(i => i + 1)]);
            for (var m = 0; m < 6; m++) sums[m] += metrics[m];
        }
        var chance = Values(Chance.Expected([relevant], gallery));
        for (var m = 0; m < 6; m++) Assert.Equal(sums[m] / placements, chance[m], 1e-12);
    }

    /// <summary>Ragged numbers of relevant items, by random rankings. Tolerance: five standard errors of a value in [0, 1] (σ ≤ ½).</summary>
    [Fact]
    public void Agrees_with_a_simulation()
    {
        const int gallery = 60, rounds = 4000;
        int[] relevant = [1, 4, 4, 9, 0, 30];
        var sums = new double[6];
        for (var round = 0; round < rounds; round++)
            for (var q = 0; q < relevant.Length; q++)
            {
                if (relevant[q] == 0) continue;
                var places = new Philox(31, (uint)q, (uint)round).Permutation(gallery);
                var metrics = Metrics([.. places.Take(relevant[q]).Select(p => p + 1).Order()]);
                for (var m = 0; m < 6; m++) sums[m] += metrics[m] / (rounds * 5);
            }
        var chance = Values(Chance.Expected(relevant, gallery));
        for (var m = 0; m < 6; m++) Assert.Equal(sums[m], chance[m], 5 * 0.5 / Math.Sqrt(rounds * 5));
    }

    [Fact]
    public void Random_embeddings_score_about_chance()
    {
        const int queries = 400, gallery = 500, dim = 16;
        var random = new Philox(41, 1);
        float[] Vectors(int rows, int from) => [.. Enumerable.Range(from, rows * dim).Select(i => random.Normal((ulong)i))];
        var ids = Enumerable.Range(0, gallery).Select(i => i / 5).ToArray();
        var outcome = Retrieval.Evaluate(Vectors(queries, 0), Enumerable.Range(0, queries).Select(i => i % 100).ToArray(), Vectors(gallery, 1 << 20), ids, dim);
        Assert.Equal(0.01, outcome.Chance.R1, 1e-12); // 5 of 500
        Assert.Equal(outcome.Chance.R1, outcome.Figures.R1, 5 * Math.Sqrt(0.01 * 0.99 / queries));
        Assert.Equal(outcome.Chance.Map, outcome.Figures.Map, 0.01); // mAP's σ is below 0.05 at this chance level, over 400 queries
    }

    [Fact]
    public void Impossible_numbers_are_refused()
    {
        Assert.Throws<ArgumentException>(() => Chance.Expected([5], 4));
        Assert.Throws<ArgumentException>(() => Chance.Expected([-1, 2], 4));
        Assert.Equal(0, Chance.Expected([0, 0], 4).Map);
    }
}
