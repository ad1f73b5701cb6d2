using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>What is recorded is exactly what was launched: names, calls, bytes and operations; times only by their order.</summary>
public sealed class ProfilerTests
{
    private static readonly MachinePeak Machine = new(1e9, 1e9);

    private readonly record struct Inner(Tensor X) : ICpuKernel
    {
        public Work Work => new("inner", 100, 10);

        public unsafe void Run<V, T>(CpuDevice cpu)
            where V : struct, IVector<V>
            where T : unmanaged, IElement<T> => *X.F32 += 1;
    }

    private readonly record struct Outer(Tensor X) : ICpuKernel
    {
        public Work Work => new("outer", 1000, 15);

        public void Run<V, T>(CpuDevice cpu)
            where V : struct, IVector<V>
            where T : unmanaged, IElement<T>
        {
            cpu.Launch(DType.F32, new Inner(X));
            cpu.Launch(DType.F32, new Inner(X));
        }
    }

    private static Dictionary<string, (int Calls, long Bytes, double Flops)> Totals(Profile profile) =>
        ProfileReport.Of(profile, Machine).Kernels.ToDictionary(k => k.Name, k => (k.Calls, k.Bytes, k.Flops));

    [Theory, OnEachDevice]
    public void A_small_graph_has_exactly_its_kernels(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var x = Input.Normal(new(4, 8)).ToTensor(d);
        var (gamma, beta) = (Input.Normal(new(8)).ToTensor(d), Input.Normal(new(8), 2).ToTensor(d));
        Profile profile;
        using (var profiler = Profiler.Start(d))
        {
            using (Profiler.Phase(d, "forward"))
            {
                // Eight additions and a normalisation of 4×8 elements.
                var y = Ops.LayerNorm(x, gamma, beta);
                for (var i = 0; i < 8; i++) y = Ops.Add(y, x);
                _ = y.ToArray();
            }
            profile = profiler.Stop();
        }
        const int bytes = 4 * 8 * 4;
        var expected = new Dictionary<string, (int, long, double)>
        {
            ["layer_norm_forward"] = (1, 2 * bytes, 8 * 32),
            ["add"] = (8, 8 * 3 * bytes, 8 * 32),
            ["download"] = (1, 2 * bytes, 0),
        };
        Assert.Equal(expected, Totals(profile));
        Assert.Equal("forward", Assert.Single(profile.Events, e => e.Kind == ProfileKind.Phase).Name);
        // The output, two statistics, eight sums.
        Assert.Equal((11, 9L * bytes + 2 * 16), (profile.Allocations, profile.AllocatedBytes));
        Assert.Equal(d.MemoryInUse.PeakBytes, profile.PeakBytes);
    }

    [Fact]
    public void A_backward_is_a_phase_with_its_ops_inside()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var x = Input.Normal(new(4, 8)).ToTensor(d);
        var loss = Ops.Sum(Ops.Multiply(x, x));
        using var profiler = Profiler.Start(d);
        loss.Backward();
        var profile = profiler.Stop();
        Assert.Equal(["backward"], profile.Events.Where(e => e.Kind == ProfileKind.Phase).Select(e => e.Name));
        Assert.Equal(2, profile.Events.Count(e => e.Kind == ProfileKind.Op));
        Assert.Equal((2, 2 * 3 * 128, 64), Totals(profile)["multiply"]); // x·dy for each of the two inputs
        Assert.True(Nested(profile.Events.Select(e => ((decimal)e.Start, (decimal)e.Duration))));
    }

    [Fact]
    public void Kernels_inside_a_kernel_are_counted_once()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var x = Tensor.Zeros(d, new(1));
        using var profiler = Profiler.Start(d);
        d.Launch(DType.F32, new Outer(x));
        var profile = profiler.Stop();
        Assert.Equal(2f, x.Item());
        Assert.Equal(new() { ["outer"] = (1, 800, 0), ["inner"] = (2, 200, 20) }, Totals(profile)); // 15 − 20 operations are none
        var (outer, inner) = (profile.Events[0], profile.Events.Skip(1).ToArray());
        Assert.Equal(outer.Duration, outer.Self + inner.Sum(e => e.Duration), 2.0); // each of three is rounded down
        var report = ProfileReport.Of(profile, Machine);
        Assert.Equal(report.Milliseconds, report.Outside + report.Kernels.Sum(k => k.Milliseconds), 6);
        Assert.Equal((800 + 200) / 1e6, report.FloorMilliseconds, 9); // bytes decide: 10⁹ a second
    }

    [Fact]
    public void Copies_are_recorded_and_arithmetic_in_the_old_form_is_other()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        using var profiler = Profiler.Start(d);
        var x = Tensor.From(d, [1f, 2], new(2));
        Tensor.Zeros(d, new(3));
        x.Persist().Release();
        d.Run(cpu: _ => { });
        Assert.Equal(new() { ["upload"] = (1, 16, 0), ["clear"] = (1, 12, 0), ["copy"] = (1, 16, 0), ["other"] = (1, 0, 0) }, Totals(profiler.Stop()));
        Assert.Null(ProfileReport.Of(profiler.Stop(), Machine).Kernels.Single(k => k.Name == "other").ShareOfFloor);
    }

    [Fact]
    public void Only_one_runs_at_a_time_and_none_after_it_stopped()
    {
        using var d = new CpuDevice(1);
        var profiler = Profiler.Start(d);
        Assert.Contains("already", Assert.Throws<InvalidOperationException>(() => Profiler.Start(d)).Message);
        var open = Profiler.Phase(d, "left open");
        var profile = profiler.Stop();
        open.Dispose();
        using (Profiler.Phase(d, "nobody looks")) Tensor.Zeros(d, new(1)).Release();
        Assert.Same(profile, profiler.Stop());
        Assert.Equal("left open", Assert.Single(profile.Events).Name);
        Profiler.Start(d).Dispose();
    }

    [Fact]
    public void A_kernel_that_throws_leaves_the_profile_whole()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var x = Tensor.Zeros(d, new(2));
        using var profiler = Profiler.Start(d);
        Assert.Throws<InvalidOperationException>(() => d.Run(cpu: _ => throw new InvalidOperationException()));
        Ops.Add(x, x);
        Assert.Equal(["other", "add"], profiler.Stop().Events.Select(e => e.Name));
    }

    /// <summary>True when any two spans are disjoint or one holds the other; spans come in the order of their beginning.</summary>
    internal static bool Nested(IEnumerable<(decimal Start, decimal Duration)> spans)
    {
        var open = new Stack<decimal>();
        foreach (var (start, duration) in spans)
        {
            while (open.Count > 0 && open.Peek() <= start) open.Pop();
            if (open.Count > 0 && start + duration > open.Peek()) return false;
            open.Push(start + duration);
        }
        return true;
    }
}
