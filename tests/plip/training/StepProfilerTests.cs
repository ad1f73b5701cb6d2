using Plip.Engine;
using Plip.Tests.Model;
using Plip.Training;
using Xunit;

namespace Plip.Tests.Training;

public sealed class StepProfilerTests
{
    [Theory]
    [InlineData("cpu")]
    [InlineData("cuda")]
    public void A_profiled_step_has_its_phases_and_the_same_kernels_every_time(string name)
    {
        using var device = Devices.Open(name);
        using (var profiler = new StepProfiler(device, TinyPlip.Config()))
        {
            Assert.Equal(6, profiler.Pairs);
            Assert.InRange(profiler.Tokens, 6 * 12, 6 * 40);
            var (first, second) = (profiler.Run(steps: 1, warmup: 1), profiler.Run(steps: 3, warmup: 0));
            Assert.Equal(
                ["forward", "ivlc", "pictures", "captions", "tic", "iap", "backward", "optimizer"],
                ProfileReport.Of(first, new MachinePeak(1, 1)).Phases.Select(p => p.Name));
            Assert.Equal(Kernels(first), Kernels(second));
            Assert.Contains(first.Events, e => e.Name == "layer_norm_backward");
            Assert.True(first.PeakBytes > 0);
        }
        Assert.Equal(0, device.MemoryInUse.Blocks);

        static IEnumerable<(ProfileKind, string, long, double)> Kernels(Profile p) => p.Events.Select(e => (e.Kind, e.Name, e.Bytes, e.Flops));
    }
}
