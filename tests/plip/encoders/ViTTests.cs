using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;
using Plip.Tests.Model;
using Xunit;

namespace Plip.Tests.Encoders;

public sealed class ViTTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    private static readonly ViTConfig s_small = new() { Patch = 8, Width = 12, Layers = 2, Heads = 3 };

    /// <summary>With a thousand classes at 224×224, torchvision's published number of parameters of ViT-B/16; and ViT-S/16's of DeiT.</summary>
    [Theory]
    [InlineData(768, 12, 86567656)]
    [InlineData(384, 6, 22050664)]
    public void It_has_as_many_parameters_as_published(int width, int heads, long expected)
    {
        var net = new ViTConfig { Width = width, Heads = heads }.Build(new ImageConfig { Height = 224, Width = 224 }, 1000);
        Assert.Equal(expected, net.NamedParameters().Sum(p => p.Parameter.Shape.Count));
    }

    [Fact]
    public void Its_keys_are_torchvisions()
    {
        var keys = new ViTConfig().Build(new ImageConfig(), 768).NamedParameters().Select(p => $"{p.Name} {p.Parameter.PyTorchShape}").ToHashSet();
        Assert.Equal(4 + 12 * 12 + 2 + 2, keys.Count);
        foreach (var key in new[]
        {
            "class_token (1, 1, 384)", "conv_proj.weight (384, 3, 16, 16)", "encoder.pos_embedding (1, 129, 384)",
            "encoder.layers.encoder_layer_0.ln_1.weight (384,)", "encoder.layers.encoder_layer_11.self_attention.in_proj_weight (1152, 384)",
            "encoder.layers.encoder_layer_3.self_attention.in_proj_bias (1152,)", "encoder.layers.encoder_layer_3.self_attention.out_proj.bias (384,)",
            "encoder.layers.encoder_layer_3.mlp.0.weight (1536, 384)", "encoder.layers.encoder_layer_3.mlp.3.weight (384, 1536)", "encoder.ln.bias (384,)", "heads.head.weight (768, 384)",
        }) Assert.Contains(key, keys);
    }

    [Fact]
    public void Pictures_of_another_size_are_refused()
    {
        using var device = new CpuDevice(1);
        var net = s_small.Build(new ImageConfig { Height = 64, Width = 32 }, 10);
        using var store = ParameterStore.Materialize(device, net, 1);
        using var step = device.BeginStep();
        Assert.Equal(new Shape(2, 33, 12), Assert.Single(net.Stages(Tensor.Zeros(device, new(2, 64, 32, 3)))).Shape);
        Assert.Equal(new Shape(2, 10), net.Forward(Tensor.Zeros(device, new(2, 64, 32, 3))).Shape);
        Assert.Contains("32 patches", Assert.Throws<ArgumentException>(() => net.Stages(Tensor.Zeros(device, new(2, 64, 64, 3)))).Message);
    }

    /// <summary>Contrast and attribute prediction train it; with recomputation or other threads, or without, the same bits.</summary>
    [Theory]
    [InlineData(Precision.F32)]
    [InlineData(Precision.BF16)]
    public void It_trains_without_colorization(Precision precision)
    {
        var config = TinyPlip.Config() with { Visual = s_small, Tasks = new TasksConfig { Tic = new TicConfig { Enabled = false } } };
        config.Validate();
        config.Training.Steps = 3;
        config.Training.Precision = precision;
        var kept = TinyPlip.Fingerprint(plip.Trained(config));
        Assert.Equal(kept, TinyPlip.Fingerprint(plip.Trained(config, threads: 3)));
        var again = config with { Training = config.Training with { Recompute = Recomputation.All } };
        Assert.Equal(kept[0], TinyPlip.Fingerprint(plip.Trained(again))[0]);
    }
}
