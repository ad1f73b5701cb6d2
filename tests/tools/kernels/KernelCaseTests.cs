using Plip.Engine;
using Plip.Tool;
using Xunit;

namespace Plip.Tests.Tools;

public sealed class KernelCaseTests
{
    [Fact]
    public void Names_are_unique_for_they_choose_cases() =>
        Assert.Equal(KernelCases.All.Count, KernelCases.All.Select(c => c.Name).Distinct(StringComparer.Ordinal).Count());

    /// <summary>On one device with other numbers of threads the results are the same bits, and every case has something to compare.</summary>
    [Fact]
    public void Cases_give_the_same_on_every_number_of_threads()
    {
        using var one = new CpuDevice(1);
        using var three = new CpuDevice(3);
        foreach (var c in KernelCases.All)
            foreach (var type in c.Types)
            {
                Assert.NotEmpty(c.Run(one, type));
                Assert.Equal(0, c.Compare(one, three, type).Error);
            }
    }

    [Theory]
    [InlineData(1.0, 0)]
    [InlineData(1.0 + 1e-3, 1e-3)]
    [InlineData(double.NaN, double.PositiveInfinity)]
    [InlineData(double.PositiveInfinity, double.PositiveInfinity)]
    public void Outputs_differ_by_the_largest_element(double second, double expected)
    {
        // The largest magnitude is 4: a difference of 1e-3 is a fourth of 1e-3.
        var distance = new CaseOutput("y", [1, -4, double.NegativeInfinity]).Distance(new CaseOutput("y", [second, -4, double.NegativeInfinity]));
        Assert.Equal(double.IsFinite(expected) ? expected / 4 : expected, distance, 12);
    }

    [Fact]
    public void What_a_run_says_is_read_back()
    {
        var run = new CaseRun("softmax 7x53", DType.BF16, "a race\n  in line 3", [new("softmax", "softmax_forward", "bf16", "2×(32,4)", 3)]);
        var read = CaseRun.Parse(run.ToString())!;
        Assert.Equal((run.Name, run.Type, run.Problem), (read.Name, read.Type, read.Problem));
        Assert.Equal(run.Launches, read.Launches);
        Assert.Null(CaseRun.Parse("anything else"));
    }

    [Fact]
    public void Kernels_and_types_are_read_from_the_sources()
    {
        const string text = """
            // scale.cu: __global__ in a comment
            // options  -DTYPE=float|bf16 -DPACK=4
            // options  -DTYPE=bf16|half -DPACK=8
            extern "C" __global__ void __launch_bounds__(THREADS, 2) scale(
                float* y) { }
            extern "C" __global__ void scale_twice (float* y) { }
            """;
        Assert.Equal(["scale", "scale_twice"], KernelSources.KernelsIn(text));
        Assert.Equal(["float", "bf16", "half"], KernelSources.TypesOf(text));
        using var writer = new StringWriter();
        Assert.Equal(CommandLine.Failed, KernelsCheckCommand.Print(writer, KernelSources.Load(), [], []));
        Assert.Contains("no case launches softmax_forward", writer.ToString(), StringComparison.Ordinal);
    }
}
