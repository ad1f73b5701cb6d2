using Plip.Bench;
using Xunit;

namespace Plip.Tests.Tools.Bench;

public class FloorTests
{
    [Theory]
    [InlineData(new[] { 3.0 }, 3.0)]
    [InlineData(new[] { 9.0, 1.0, 2.0 }, 2.0)]
    [InlineData(new[] { 4.0, 1.0, 100.0, 2.0 }, 3.0)]
    public void Median_is_the_middle_whatever_the_order(double[] values, double expected) => Assert.Equal(expected, Floor.Median(values));

    [Fact]
    public void Median_of_nothing_is_refused() => Assert.Throws<ArgumentException>(() => Floor.Median([]));

    [Theory]
    [InlineData(2e9, 1e6, 20.0)] // 2 GFLOP at 100 GFLOP/s
    [InlineData(1e6, 1e9, 50.0)] // 1 GB at 20 GB/s
    [InlineData(0, 2e7, 1.0)]
    public void Floor_is_the_longer_of_arithmetic_and_traffic(double flops, double bytes, double milliseconds) =>
        Assert.Equal(milliseconds, Floor.Milliseconds(flops, bytes, peakGflops: 100, bandwidthGbs: 20), 9);
}
