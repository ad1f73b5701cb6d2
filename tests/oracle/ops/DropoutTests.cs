using Plip.Engine;
using Xunit;

namespace Plip.Oracle;

public class DropoutTests
{
    [Theory]
    [Trait("op", nameof(Ops.Dropout))]
    [InlineData(0.1f, 7, 13)]
    [InlineData(0.5f, 129, 65)]
    public void Drops_the_elements_its_stream_names(float p, int rows, int cols)
    {
        var random = new Philox(5, 9, 3);
        var kept = Enumerable.Range(0, rows * cols).Select(i => random.Uniform((ulong)i) >= p ? 1f : 0f).ToArray();
        Torch.Same(t => Ops.Dropout(t[0], p, random), t => t[0] * Torch.Of(kept, rows, cols) / (1 - p), [Torch.Input(1, rows, cols)], 2e-7, 2e-7);
    }

    [Fact]
    [Trait("op", nameof(Ops.Dropout))]
    public void Drops_at_its_rate()
    {
        const int Count = 1 << 18;
        using var device = new CpuDevice();
        using var step = device.BeginStep();
        foreach (var p in new[] { 0.1, 0.5, 0.9 })
        {
            var y = Ops.Dropout(Ops.Full(device, new Shape(Count), 1f), (float)p, new Philox(5, 10)).ToArray();
            var dropped = y.Count(v => v == 0) / (double)Count;
            // Five deviations of a binomial share; the stream is fixed, so this never flickers.
            Assert.InRange(dropped, p - 5 * Math.Sqrt(p * (1 - p) / Count), p + 5 * Math.Sqrt(p * (1 - p) / Count));
            // Neighbours are dropped independently.
            var both = Enumerable.Range(0, Count - 1).Count(i => y[i] == 0 && y[i + 1] == 0) / (double)(Count - 1);
            Assert.InRange(both, p * p - 0.01, p * p + 0.01);
        }
    }
}
