using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;
using Plip.Tests.Model;
using Plip.Tests.Tasks;
using Plip.Training;
using Xunit;

namespace Plip.Tests.Encoders;

public sealed class SwinTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    private static SwinConfig Small(float depth = 0) => new() { Width = 8, Depths = [1, 2, 2, 1], Heads = [1, 2, 4, 4], Window = 3, StochasticDepth = depth };

    private static Tensor Pictures(Device device, int count, int height, int width, uint seed = 3) =>
        Tensor.From(device, Tests.Values.Normal(count * height * width * 3, seed), new Shape(count, height, width, 3));

    /// <summary>Maps that windows do not fill, odd ones that are merged with zeros, and a last one of a single place.</summary>
    [Theory]
    [InlineData(64, 32)]
    [InlineData(96, 48)]
    [InlineData(32, 32)]
    [InlineData(80, 48)]
    public void The_four_stages_have_the_documented_sizes(int height, int width)
    {
        using var device = new CpuDevice(1);
        var net = Small().Build(new ImageConfig { Height = height, Width = width }, 12);
        using var store = ParameterStore.Materialize(device, net, 1);
        using var step = device.BeginStep();
        var stages = net.Stages(Pictures(device, 2, height, width));
        Assert.Equal([8, 16, 32, 64], net.StageChannels);
        var (h, w) = (height / 4, width / 4);
        for (var s = 0; s < 4; s++, h = (h + 1) / 2, w = (w + 1) / 2) Assert.Equal(new Shape(2, h, w, 8 << s), stages[s].Shape);
        Assert.Equal(new Shape(2, 12), net.Embed(stages[3]).Shape);
    }

    /// <summary>With torchvision's thousand classes in the place of the embedding, its models' published numbers of parameters.</summary>
    [Theory]
    [InlineData(96, 6, "3 6 12 24", 28288354)]
    [InlineData(96, 18, "3 6 12 24", 49606258)]
    [InlineData(128, 18, "4 8 16 32", 87768224)]
    public void It_has_as_many_parameters_as_torchvisions(int width, int third, string heads, long expected)
    {
        var config = new SwinConfig { Width = width, Depths = [2, 2, third, 2], Heads = [.. heads.Split(' ').Select(int.Parse)] };
        Assert.Equal(expected, config.Build(new ImageConfig(), 1000).NamedParameters().Sum(p => p.Parameter.Shape.Count));
    }

    [Fact]
    public void Its_keys_are_torchvisions()
    {
        var net = new SwinConfig { Width = 96, Depths = [2, 2, 6, 2], Heads = [3, 6, 12, 24] }.Build(new ImageConfig(), 768);
        var keys = net.NamedParameters().Select(p => $"{p.Name} {p.Parameter.PyTorchShape}").Concat(net.NamedBuffers().Select(b => $"{b.Name} {b.Buffer.Shape}")).ToHashSet();
        Assert.Equal(2 + 2 + 12 * 14 + 3 * 3 + 2 + 2, keys.Count); // patches and their norm, blocks, mergings, norm, head
        foreach (var key in new[]
        {
            "features.0.0.weight (96, 3, 4, 4)", "features.0.0.bias (96,)", "features.0.2.weight (96,)",
            "features.1.0.norm1.weight (96,)", "features.1.0.attn.relative_position_bias_table (169, 3)", "features.1.0.attn.relative_position_index (2401,)",
            "features.1.1.attn.qkv.weight (288, 96)", "features.1.1.attn.qkv.bias (288,)", "features.1.1.attn.proj.weight (96, 96)",
            "features.2.reduction.weight (192, 384)", "features.2.norm.bias (384,)", "features.3.1.mlp.0.weight (768, 192)", "features.3.1.mlp.3.weight (192, 768)",
            "features.5.5.norm2.bias (384,)", "features.6.reduction.weight (768, 1536)", "features.7.1.mlp.3.bias (768,)", "norm.weight (768,)", "head.weight (768, 768)",
        }) Assert.Contains(key, keys);
        Assert.DoesNotContain(keys, k => k.StartsWith("features.2.reduction.bias", StringComparison.Ordinal));
    }

    [Fact]
    public void A_state_goes_out_and_comes_back_and_an_index_of_another_model_is_refused()
    {
        using var device = new CpuDevice(1);
        var net = Small().Build(new ImageConfig { Height = 64, Width = 32 }, 12);
        using var store = ParameterStore.Materialize(device, net, 1);
        var state = store.StateDict();
        var index = state["features.1.0.attn.relative_position_index"];
        Assert.Equal((DType.I64, new Shape(81)), (index.DType, index.Shape));
        Assert.Equal([12L, 11, 10, 7, 6, 5, 2, 1, 0, 13], index.ToI64()[..10]); // of a query at (0, 0), row by row of keys, at 5 distances each way

        using var other = new CpuDevice(1);
        var copy = Small().Build(new ImageConfig { Height = 64, Width = 32 }, 12);
        using var into = ParameterStore.Materialize(other, copy, 2);
        Assert.True(into.Load(state).IsExact);
        Assert.Equal(TinyPlip.Bits(state), TinyPlip.Bits(into.StateDict()));

        var without = new StateDict();
        foreach (var (name, tensor) in state)
            if (!name.EndsWith("_index", StringComparison.Ordinal)) without.Add(name, tensor);
        Assert.True(into.Load(without).IsExact);

        var wrong = new StateDict();
        using var step = device.BeginStep(recordGradients: false);
        foreach (var (name, tensor) in state)
            wrong.Add(name, name == "features.3.0.attn.relative_position_index" ? StateTensor.Of(Tensor.From(device, new long[81], new Shape(81))) : tensor);
        Assert.Contains("features.3.0.attn.relative_position_index", Assert.Throws<FormatException>(() => into.Load(wrong)).Message);
    }

    [Fact]
    public void Branches_are_left_out_by_seed_and_step_and_only_in_training()
    {
        using var device = new CpuDevice(1);
        var net = Small(0.5f).Build(new ImageConfig { Height = 64, Width = 32 }, 12);
        using var store = ParameterStore.Materialize(device, net, 1);
        float[] Run(uint number)
        {
            using var step = device.BeginStep();
            return net.Forward(Pictures(device, 4, 64, 32), new DropoutStream(5, number)).ToArray();
        }
        Assert.Equal(Run(1), Run(1));
        Assert.NotEqual(Run(1), Run(2));
        using (device.BeginStep()) Assert.Contains("DropoutStream", Assert.Throws<ArgumentException>(() => net.Forward(Pictures(device, 4, 64, 32))).Message);
        net.Eval();
        Assert.Equal(Run(1), Run(2));
        using (device.BeginStep(recordGradients: false)) Assert.Equal(Run(1), net.Forward(Pictures(device, 4, 64, 32)).ToArray());
    }

    /// <summary>What is run again leaves out the same branches: the same bits of the result and of every gradient.</summary>
    [Fact]
    public void Recomputation_changes_no_bit()
    {
        float[][] Run(bool recomputes)
        {
            using var device = new CpuDevice(2);
            var net = Small(0.5f).Build(new ImageConfig { Height = 64, Width = 32 }, 12);
            net.Recomputes = recomputes;
            using var store = ParameterStore.Materialize(device, net, 1);
            using var step = device.BeginStep();
            var y = net.Forward(Pictures(device, 4, 64, 32), new DropoutStream(5, 9)).Keep();
            Ops.Sum(Ops.Multiply(y, y)).Backward();
            return [y.ToArray(), .. store.Parameters.Select(p => p.Parameter.Grad.ToArray())];
        }
        var kept = Run(false);
        Assert.Equal(kept, Run(true));
        Assert.All(kept, g => Assert.Contains(g, v => v != 0));
    }

    /// <summary>There are no statistics: two passes in one are the two passes.</summary>
    [Fact]
    public void Colour_and_gray_share_all_there_is()
    {
        using var device = new CpuDevice(1);
        var net = Small().Build(new ImageConfig { Height = 64, Width = 32 }, 12);
        using var store = ParameterStore.Materialize(device, net, 1);
        using var step = device.BeginStep();
        var (colour, gray) = (Pictures(device, 2, 64, 32, 3), Pictures(device, 2, 64, 32, 4));
        var both = net.Stages(Ops.Concat([colour, gray], 0), VisualPass.Both);
        var (one, two) = (net.Stages(colour), net.Stages(gray, VisualPass.Gray));
        for (var s = 0; s < 4; s++) Assert.Equal(one[s].ToArray().Concat(two[s].ToArray()), both[s].ToArray());
    }

    /// <summary>All three tasks reach every parameter of the encoder, in F32 and with BF16 activations.</summary>
    [Theory]
    [InlineData(Precision.F32)]
    [InlineData(Precision.BF16)]
    public void All_of_it_is_trained(Precision precision)
    {
        var config = TinyPlip.Config() with { Visual = Small(0.2f) };
        config.Training.Precision = precision;
        using var rig = new TaskRig(plip, config);
        using var step = rig.Device.BeginStep();
        var batch = rig.OnDevice();
        Ops.WeightedSum([.. rig.Model.Tasks.Select(t => (t.Loss(batch)!, t.Weight))]).Backward();
        Assert.Equal(
            rig.Store.Parameters.Select(p => p.Name).Where(n => n.StartsWith("visual.", StringComparison.Ordinal)).Order(),
            rig.Touched().Where(n => n.StartsWith("visual.", StringComparison.Ordinal)).Order());
    }

    /// <summary>Three steps by the trainer: the losses and weights of a run are the same for any number of threads, and with recomputation.</summary>
    [Fact]
    public void It_trains_and_a_run_is_the_same_with_recomputation()
    {
        var config = TinyPlip.Config() with { Visual = Small(0.3f) };
        config.Training.Steps = 3;
        var kept = TinyPlip.Fingerprint(plip.Trained(config));
        Assert.Equal(kept, TinyPlip.Fingerprint(plip.Trained(config, threads: 3)));
        var again = config with { Training = config.Training with { Recompute = Recomputation.All } };
        Assert.Equal(kept[0], TinyPlip.Fingerprint(plip.Trained(again))[0]);
    }

    /// <summary>The same pictures through the same weights on a GPU, or the emulator.</summary>
    [Theory]
    [InlineData("cuda")]
    [InlineData("cuda-exact")]
    public void A_GPU_gives_the_same_maps_and_gradients(string name)
    {
        var (gpu, cpu) = (Run(Devices.Open(name)), Run(new CpuDevice(2)));
        for (var k = 0; k < cpu.Length; k++)
        {
            var norm = Math.Sqrt(cpu[k].Sum(v => (double)v * v));
            var off = Math.Sqrt(cpu[k].Zip(gpu[k], (a, b) => (double)(a - b) * (a - b)).Sum());
            Assert.True(off <= 2e-4 * Math.Max(norm, 1e-3), $"tensor {k}: off by {off:g3} of {norm:g3}");
        }

        static float[][] Run(Device device)
        {
            using var owned = device;
            var net = Small(0.3f).Build(new ImageConfig { Height = 64, Width = 32 }, 12);
            using var store = ParameterStore.Materialize(device, net, 1);
            using var step = device.BeginStep();
            var y = net.Forward(Pictures(device, 2, 64, 32), new DropoutStream(5, 9)).Keep();
            Ops.Sum(Ops.Multiply(y, y)).Backward();
            return [y.ToArray(), .. store.Parameters.Select(p => p.Parameter.Grad.ToArray())];
        }
    }
}
