using Plip.Bench;
using Plip.Engine;
using Plip.Model;
using Xunit;

namespace Plip.Tests.Tools.Bench;

public class CaseTests
{
    [Fact]
    public void Every_case_has_a_name_of_its_own_and_counted_work()
    {
        var cases = CaseList.All();
        Assert.Equal(cases.Count, cases.Select(c => c.Name).Distinct(StringComparer.Ordinal).Count());
        Assert.All(cases, c => Assert.True(c.Flops > 0 || c.Bytes > 0, c.Name));
        Assert.Equal(["gemm", "conv", "fused", "step", "embedding"], cases.Select(c => c.Group).Distinct(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("gemm_nt 64x64x512", 2.0 * 64 * 64 * 512)]
    [InlineData("conv2d 3x3 64->64 8x64x32 forward", 2.0 * 8 * 64 * 32 * 9 * 64 * 64)]
    [InlineData("conv2d 3x3/2 3->32 8x256x128 weight gradient", 2.0 * 8 * 128 * 64 * 9 * 3 * 32)]
    [InlineData("conv_transpose2d 3x3/2 1024->256 8x64x32 forward", 2.0 * 8 * 64 * 32 * 9 * 1024 * 256)]
    public void Operations_are_counted_by_formula(string name, double flops) => Assert.Equal(flops, Assert.Single(CaseList.All(), c => c.Name == name).Flops);

    /// <summary>A second count: each filter of the real model costs its size at every pixel it is laid on.</summary>
    [Theory]
    [InlineData("plip-rn50")]
    [InlineData("plip-tiny")]
    public void The_picture_encoder_costs_what_its_filters_do(string name)
    {
        var config = new ModelSpec(name, 1, 30522).Load();
        var expected = 0.0;
        foreach (var (key, parameter) in new PlipModel(config).Visual.NamedParameters())
        {
            if (parameter.Shape.Rank < 2) continue;
            // The stem halves the picture and then pools; stage s halves it s times more, after its first block's second filter.
            var halvings = key.StartsWith("conv", StringComparison.Ordinal) ? 1 : key.StartsWith("layer", StringComparison.Ordinal) ? 1 + (key[5] - '0') : -1;
            if (halvings > 2 && (key[6..].StartsWith(".0.conv1", StringComparison.Ordinal) || key[6..].StartsWith(".0.conv2", StringComparison.Ordinal))) halvings--;
            var pixels = halvings < 0 ? 1 : (config.Image.Height >> halvings) * (config.Image.Width >> halvings);
            expected += 2.0 * parameter.Shape.Count * pixels;
        }
        Assert.Equal(expected, ModelCost.Pictures(config, 1), 1e-9 * expected);
    }

    [Theory]
    [InlineData("gemm_nt 1664x64x64")]
    [InlineData("layer_norm 2048x64 forward")]
    [InlineData("layer_norm 2048x64 backward")]
    [InlineData("conv2d 3x3 16->16 64x24x12 data gradient")]
    [InlineData("conv2d 3x3 16->16 64x24x12 weight gradient")]
    [InlineData("cmpm 128x768 backward")]
    [InlineData("embed_texts plip-tiny batch 64")]
    public void A_case_runs_again_and_again_and_gives_its_memory_back(string name)
    {
        using var device = new CpuDevice(2);
        using (var work = Assert.Single(CaseList.All(), c => c.Name == name).Ours(device))
        {
            var held = new List<long>();
            for (var i = 0; i < 3; i++)
            {
                work.Prepare?.Invoke();
                work.Run();
                held.Add(device.MemoryInUse.Bytes);
            }
            Assert.Single(held.Distinct());
        }
        Assert.Equal(0, device.MemoryInUse.Blocks);
        Assert.Null(device.CurrentStep);
    }

    [Fact]
    public void A_batch_is_the_same_each_time_and_as_the_loader_makes_them()
    {
        var config = new ModelSpec("plip-tiny", 64, 2000).Load();
        SyntheticBatch a = SyntheticBatch.For(config, 8), b = SyntheticBatch.For(config, 8);
        Assert.Equal(a.Images, b.Images);
        Assert.Equal(a.Masked, b.Masked);
        Assert.Equal(8 * config.Image.Height * config.Image.Width * 3, a.Images.Length);
        Assert.NotEmpty(a.Places);
        for (var i = 0; i < 8; i++) Assert.InRange(a.Offsets[i + 1] - a.Offsets[i], 12, 40);
        Assert.All(Enumerable.Range(0, a.Ids.Length), i => Assert.True(a.Labels[i] < 0 ? a.Masked[i] == a.Ids[i] : a.Labels[i] == a.Ids[i] && a.Masked[i] != a.Ids[i]));
        Assert.All(a.Offsets[..^1], o => Assert.True(a.Labels[o] < 0, "[CLS] is masked"));
    }
}
