using Plip.Evaluation;
using Xunit;

namespace Plip.Tests.Evaluation;

public class RankMetricsTests
{
    // Worked by hand from METRICS: ranks 1, 3, 6.
    //   AP_std  = (1/1 + 2/3 + 3/6)/3 = 13/18
    //   AP_trap = (½(1+1) + ½(1/2+2/3) + ½(2/5+3/6))/3 = (1 + 7/12 + 9/20)/3 = 61/90
    //   INP     = 3/6
    [Fact]
    public void Hand_computed_ranks()
    {
        int[] ranks = [1, 3, 6];
        Assert.Equal(13.0 / 18, RankMetrics.AveragePrecision(ranks), 1e-15);
        Assert.Equal(61.0 / 90, RankMetrics.TrapezoidalAveragePrecision(ranks), 1e-15);
        Assert.Equal(0.5, RankMetrics.InverseNegativePenalty(ranks));
        Assert.Equal(1, RankMetrics.RecallAt(ranks, 1));
    }

    // A single relevant item at rank 4: AP_std 1/4, AP_trap ½(0/3 + 1/4), INP 1/4.
    [Fact]
    public void A_single_relevant_item()
    {
        int[] ranks = [4];
        Assert.Equal(0.25, RankMetrics.AveragePrecision(ranks));
        Assert.Equal(0.125, RankMetrics.TrapezoidalAveragePrecision(ranks));
        Assert.Equal(0.25, RankMetrics.InverseNegativePenalty(ranks));
        Assert.Equal((0.0, 0.0, 1.0, 1.0), (RankMetrics.RecallAt(ranks, 1), RankMetrics.RecallAt(ranks, 3), RankMetrics.RecallAt(ranks, 4), RankMetrics.RecallAt(ranks, 5)));
    }

    [Fact]
    public void A_perfect_ranking_is_one_by_every_metric()
    {
        int[] ranks = [1, 2, 3, 4];
        Assert.Equal((1.0, 1.0, 1.0), (RankMetrics.AveragePrecision(ranks), RankMetrics.TrapezoidalAveragePrecision(ranks), RankMetrics.InverseNegativePenalty(ranks)));
    }

    [Fact]
    public void No_relevant_item_has_no_metric()
    {
        Assert.Throws<ArgumentException>(() => RankMetrics.AveragePrecision([]));
        Assert.Throws<ArgumentException>(() => RankMetrics.TrapezoidalAveragePrecision([]));
        Assert.Throws<ArgumentException>(() => RankMetrics.InverseNegativePenalty([]));
        Assert.Throws<ArgumentException>(() => RankMetrics.RecallAt([], 1));
    }
}
