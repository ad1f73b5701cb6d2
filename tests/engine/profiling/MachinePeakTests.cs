using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public sealed class MachinePeakTests
{
    [Fact]
    public void The_floor_is_the_slower_of_arithmetic_and_memory()
    {
        var machine = new MachinePeak(FlopsPerSecond: 100, BytesPerSecond: 10);
        Assert.Equal(2, machine.Floor(flops: 200, bytes: 5));
        Assert.Equal(3, machine.Floor(flops: 200, bytes: 30));
    }

    /// <summary>No figure is asserted, only that they are figures, and that nothing of the device's memory stays out.</summary>
    [Theory, OnEachDevice]
    public void A_measurement_gives_numbers_and_leaves_nothing(string device)
    {
        using var d = Devices.Open(device);
        var peak = MachinePeak.Measure(d);
        Assert.True(double.IsFinite(peak.FlopsPerSecond) && peak.FlopsPerSecond > 0);
        Assert.True(double.IsFinite(peak.BytesPerSecond) && peak.BytesPerSecond > 0);
        Assert.Equal(0, d.MemoryInUse.Blocks);
    }
}
