using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Encoders;

public sealed class ModifiedResNetTests
{
    [Theory]
    [InlineData(64, 32)]
    [InlineData(96, 48)]
    [InlineData(32, 32)]
    public void The_four_stages_have_the_documented_sizes(int height, int width)
    {
        var config = new ModifiedResNetConfig { Layers = [1, 2, 1, 1], Width = 4 };
        using var device = new CpuDevice(1);
        var net = config.Build(new ImageConfig { Height = height, Width = width }, 8);
        using var store = ParameterStore.Materialize(device, net, 1);
        using var step = device.BeginStep();
        var stages = net.Stages(Tensor.From(device, Tests.Values.Normal(2 * height * width * 3, 3), new Shape(2, height, width, 3)));
        Assert.Equal([16, 32, 64, 128], net.StageChannels);
        for (var s = 0; s < 4; s++)
            Assert.Equal(new Shape(2, height / (4 << s), width / (4 << s), 16 << s), stages[s].Shape);
        Assert.Equal(new Shape(2, 8), net.Embed(stages[3]).Shape);
    }

    // What validation lets through must run: the narrowest picture it accepts goes through the whole encoder.
    [Theory]
    [InlineData(32, 16, ResNetHead.MaxLinear)]
    [InlineData(32, 16, ResNetHead.AttentionPool)]
    [InlineData(32, 48, ResNetHead.AttentionPool)]
    [InlineData(96, 80, ResNetHead.AttentionPool)]
    public void A_size_that_validation_accepts_can_be_encoded(int height, int width, ResNetHead head)
    {
        var config = new ModifiedResNetConfig { Layers = [1, 1, 1, 1], Width = 4, Head = head };
        var image = new ImageConfig { Height = height, Width = width };
        try
        {
            config.Validate(image);
        }
        catch (ConfigException e)
        {
            Assert.Contains("image", e.Message);
            return;
        }
        using var device = new CpuDevice(1);
        var net = config.Build(image, 8);
        using var store = ParameterStore.Materialize(device, net, 1);
        using var step = device.BeginStep();
        Assert.Equal(new Shape(2, 8), net.Forward(Tensor.From(device, Tests.Values.Normal(2 * height * width * 3, 3), new Shape(2, height, width, 3))).Shape);
    }

    [Fact]
    public void Zero_init_makes_every_bottleneck_start_as_its_shortcut()
    {
        using var device = new CpuDevice(1);
        float[] Run(bool zero)
        {
            var net = new ModifiedResNetConfig { Layers = [2, 1, 1, 1], Width = 4, ZeroInitResidual = zero }.Build(new ImageConfig { Height = 32, Width = 32 }, 8);
            using var store = ParameterStore.Materialize(device, net, 1);
            var last = store.Parameters.Where(p => p.Name.EndsWith(".bn3.weight", StringComparison.Ordinal)).ToArray();
            Assert.Equal(5, last.Length);
            Assert.All(last, p => Assert.All(p.Parameter.Value.ToArray(), v => Assert.Equal(zero ? 0f : 1f, v)));
            // Whatever the inner convolutions are, with zero weights they do not matter.
            store.Parameters.Single(p => p.Name == "layer1.1.conv2.weight").Parameter.Value.CopyFrom<float>(Tests.Values.Normal(9 * 16, 77));
            using var step = device.BeginStep(recordGradients: false);
            return net.Stages(Tensor.From(device, Tests.Values.Normal(2 * 32 * 32 * 3, 3), new Shape(2, 32, 32, 3)))[0].ToArray();
        }
        var (zero, one) = (Run(true), Run(false));
        Assert.NotEqual(zero, one);
        Assert.All(zero, v => Assert.True(v >= 0)); // a ReLU of a shortcut
    }

    [Fact]
    public void Gray_pictures_keep_statistics_of_their_own()
    {
        using var device = new CpuDevice(1);
        var net = new ModifiedResNetConfig { Layers = [1, 1, 1, 1], Width = 4, ZeroInitResidual = false }.Build(new ImageConfig { Height = 32, Width = 32 }, 8);
        using var store = ParameterStore.Materialize(device, net, 1);
        Dictionary<string, string> Buffers() => net.NamedBuffers().ToDictionary(b => b.Name, b =>
            b.Buffer.DType == DType.I64 ? b.Buffer.Value.ToArray<long>()[0].ToString() : string.Join(' ', b.Buffer.Value.ToArray().Select(BitConverter.SingleToInt32Bits)));
        void Pass(VisualPass pass)
        {
            using var step = device.BeginStep();
            net.Stages(Tensor.From(device, Tests.Values.Normal(2 * 32 * 32 * 3, 3), new Shape(2, 32, 32, 3)), pass);
        }
        var before = Buffers();
        Pass(VisualPass.Gray);
        var gray = Buffers();
        Pass(VisualPass.Colour);
        var both = Buffers();
        foreach (var name in before.Keys)
        {
            var isGray = name.EndsWith("_1", StringComparison.Ordinal);
            Assert.Equal(isGray, before[name] != gray[name]);
            Assert.Equal(!isGray, gray[name] != both[name]);
        }
        Assert.Contains("bn1.running_mean_1", before.Keys);
        Assert.Contains("layer4.0.downsample.1.running_var_1", before.Keys);
    }

    /// <summary>Both passes in one: the maps, the running statistics and the gradients of two passes.</summary>
    [Fact]
    public void Both_passes_at_once_are_each_in_turn()
    {
        using var device = new CpuDevice(1);
        var (colour, gray) = (Tests.Values.Normal(2 * 32 * 32 * 3, 3), Tests.Values.Normal(2 * 32 * 32 * 3, 4));
        Dictionary<string, float[]> Run(bool together)
        {
            var net = new ModifiedResNetConfig { Layers = [1, 1, 1, 1], Width = 4, ZeroInitResidual = false }.Build(new ImageConfig { Height = 32, Width = 32 }, 8);
            using var store = ParameterStore.Materialize(device, net, 1);
            using var step = device.BeginStep();
            Tensor[][] passes = together
                ? [net.Stages(Tensor.From(device, (float[])[.. colour, .. gray], new Shape(4, 32, 32, 3)), VisualPass.Both)]
                : [net.Stages(Tensor.From(device, colour, new Shape(2, 32, 32, 3))), net.Stages(Tensor.From(device, gray, new Shape(2, 32, 32, 3)), VisualPass.Gray)];
            var maps = passes.SelectMany(p => p).Select(t => t.Keep()).ToArray();
            var loss = maps.Select(m => Ops.Sum(Ops.Multiply(m, m))).Aggregate(Ops.Add);
            loss.Backward();
            var result = new Dictionary<string, float[]>();
            for (var s = 0; s < 4; s++) result[$"F{s + 1}"] = [.. passes.SelectMany(p => p[s].ToArray())];
            foreach (var (name, p) in store.Parameters)
                if (p.Value.Grad is { } g) result[name] = g.ToArray();
            foreach (var (name, b) in net.NamedBuffers())
                result[name] = b.DType == DType.I64 ? [b.Value.ToArray<long>()[0]] : b.Value.ToArray();
            return result;
        }
        var (turns, both) = (Run(false), Run(true));
        Assert.Equal(turns.Keys.Order(), both.Keys.Order());
        // Convolutions over more pictures add up their weights' gradients in another order.
        foreach (var name in turns.Keys) Check.Close(Array.ConvertAll(turns[name], v => (double)v), both[name], 2e-5, name);
    }
}
