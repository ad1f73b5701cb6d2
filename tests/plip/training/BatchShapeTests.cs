using Plip.Training;
using Xunit;

namespace Plip.Tests.Training;

public sealed class BatchShapeTests
{
    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 32)]
    [InlineData(32, 32)]
    [InlineData(33, 64)]
    [InlineData(511, 512)]
    [InlineData(513, 576)]
    [InlineData(3801, 3840)]
    [InlineData(4097, 4608)]
    public void Counts_are_rounded_up_to_an_eighth_of_the_power_of_two_below(int count, int expected) => Assert.Equal(expected, BatchShape.Bucket(count));

    [Fact]
    public void Few_buckets_and_little_in_vain()
    {
        var buckets = Enumerable.Range(256, 16384 - 256).Select(n => (Count: n, Bucket: BatchShape.Bucket(n))).ToArray();
        Assert.All(buckets, b => Assert.InRange(b.Bucket - b.Count, 0, b.Count / 8));
        Assert.All(buckets, b => Assert.Equal(b.Bucket, BatchShape.Bucket(b.Bucket)));
        Assert.Equal(6 * 8 + 1, buckets.Select(b => b.Bucket).Distinct().Count()); // six octaves, and where they end
    }
}
