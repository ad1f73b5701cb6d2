using Plip.Engine;
using Xunit;
using static Plip.Tests.Engine.AttentionFormula;

namespace Plip.Tests.Engine;

/// <summary>Attention as it is stored in two bytes: on a GPU by tensor cores. The formula is given what the type keeps of the inputs.</summary>
public class AttentionMmaTests
{
    // P, dS and the result are rounded once each, by 2⁻⁹ of themselves in BF16 and 2⁻¹² in F16, and what is rounded may exceed what it sums to.
    private const double InBF16 = 1.0 / 128, InF16 = 1.0 / 1024;

    /// <summary>Heads x head width x lengths: head widths in use and odd ones, lengths on both sides of a tile, and long ones.</summary>
    [Theory, OnEachDevice(
        "2x64x1x16x17x64x65", "1x64x200x0x33", "1x32x16x65x1", "2x128x64x17x65", "1x96x70x33", "1x256x33x48x49x1", "1x16x130", "3x8x20x66", "1x70x65x3", "2x3x66x0x5")]
    public void Matches_the_written_gradient_in_BF16(string device, int[] s)
    {
        using var d = Devices.Open(device);
        Compare(d, DType.BF16, Offsets(s[2..]), Offsets(s[2..]), s[0], s[1], InBF16);
    }

    [Theory]
    [InlineData(64, 64, 17, 1)]
    [InlineData(64, 200)]
    [InlineData(256, 33, 49)]
    [InlineData(128, 65)]
    [InlineData(70, 66, 4)]
    [InlineData(300, 17)] // wider than tensor cores are given
    public void Matches_the_written_gradient_in_F16(int width, params int[] lengths)
    {
        using var d = CudaTest.Open();
        Compare(d, DType.F16, Offsets(lengths), Offsets(lengths), 1, width, InF16);
    }

    /// <summary>Attention pools, and sides of which one is short and the other long, or empty.</summary>
    [Theory, OnEachDevice]
    public void Queries_may_have_lengths_of_their_own(string device)
    {
        using var d = Devices.Open(device);
        Compare(d, DType.BF16, Offsets([1, 1, 1]), Offsets([33, 33, 33]), 2, 64, InBF16);
        Compare(d, DType.BF16, Offsets([1, 1]), Offsets([33, 50]), 2, 256, InBF16);
        Compare(d, DType.BF16, Offsets([3, 0, 70, 2, 0]), Offsets([5, 80, 9, 140, 3]), 2, 64, InBF16);
    }

    [Theory, OnEachDevice]
    public void Takes_a_scale_below_zero(string device)
    {
        using var d = Devices.Open(device);
        Compare(d, DType.BF16, Offsets([20, 70]), Offsets([20, 70]), 1, 32, InBF16, -0.2f);
    }

    /// <summary>Scores near ±10⁴: they overflow exp unless the largest is taken off first.</summary>
    [Theory, OnEachDevice]
    public void Survives_large_scores(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var at = Offsets([3, 17, 70]);
        // Sixteenths of small integers: products and their sums are exact in F32, so that no near tie of scores is decided by rounding.
        var x = Array.ConvertAll(Values.Normal(90 * 16, 1), v => MathF.Round(v * 4) / 4);
        var q = Ops.Cast(Tensor.From(d, Array.ConvertAll(x, v => v * 32), new(90, 16)), DType.BF16).WithGrad();
        var v = Ops.Cast(Tensor.From(d, x, new(90, 16)), DType.BF16).WithGrad();
        var y = Ops.Attention(q, q, v, Tensor.From(d, at, new(at.Length)), 1, 1f).Keep();
        var wide = Array.ConvertAll(x, e => (double)e);
        var large = Array.ConvertAll(wide, e => e * 32);
        Check.Close(Forward(large, large, wide, at, at, 1, 16, 1), Ops.Cast(y, DType.F32).ToArray(), InBF16, "forward");
        Ops.Sum(y).Backward();
        foreach (var t in new[] { q, v }) Assert.All(Ops.Cast(t.Grad!, DType.F32).ToArray(), g => Assert.True(float.IsFinite(g)));
    }

    /// <summary>Only what needs a gradient gets one, the same bits as with the others, and the same bits twice.</summary>
    [Fact]
    public void The_bits_do_not_depend_on_which_gradients_are_wanted()
    {
        using var d = CudaTest.Open();
        float[]?[] Run(bool q, bool k, bool v)
        {
            using var step = d.BeginStep();
            var at = Offsets([25, 0, 64, 1, 130]);
            var t = new[] { q, k, v }.Select((wanted, i) =>
            {
                var x = Input.Normal(new(at[^1], 2 * 64), (uint)i + 1).BF16;
                return (wanted ? x : x.Fixed).ToTensor(d);
            }).ToArray();
            var y = Ops.Attention(t[0], t[1], t[2], Tensor.From(d, at, new(at.Length)), 2).Keep();
            var result = Floats(y);
            Ops.Sum(Ops.Multiply(y, y)).Backward();
            return [result, .. t.Select(x => x.Grad == null ? null : Ops.Cast(x.Grad, DType.F32).ToArray())];
        }

        var all = Run(true, true, true);
        Assert.Equal(all, Run(true, true, true));
        Assert.Equal([all[0], all[1], null, null], Run(true, false, false));
        Assert.Equal([all[0], null, all[2], null], Run(false, true, false));
        Assert.Equal([all[0], null, null, all[3]], Run(false, false, true));
    }

    /// <summary>A block finds by itself which way its sequence goes, so a replay may bring lengths that the capture had not.</summary>
    [Fact]
    public void A_replayed_graph_is_right_for_other_lengths()
    {
        using var d = CudaTest.Open();
        float[] Gradients(bool captured)
        {
            int[] shorter = [0, 30, 60, 100], longer = [0, 0, 95, 100];
            var at = Tensor.From(d, shorter, new(4));
            var x = Tensor.From(d, Values.Normal(100 * 64, 1), new(100, 64));
            var sum = Tensor.Zeros(d, x.Shape);
            void Step()
            {
                using var step = d.BeginStep();
                var leaf = x.View(x.Shape).WithGrad();
                var stored = Ops.Cast(leaf, DType.BF16);
                var y = Ops.Attention(stored, stored, stored, at, 1);
                Ops.Sum(Ops.Multiply(y, y)).Backward();
                Ops.AddInto(sum, leaf.Grad!);
                leaf.Grad!.Release();
                leaf.Release();
            }

            Step();
            using var graph = captured ? d.Capture(Step) : null;
            at.CopyFrom<int>(longer);
            if (graph == null) Step();
            else graph.Replay();
            return sum.ToArray();
        }

        var eager = Gradients(false);
        Assert.Equal(eager, Gradients(true));
        Assert.Contains(eager, g => g != 0);
    }

    private static void Compare(Device d, DType type, int[] queries, int[] keys, int heads, int width, double tolerance, float? scale = null)
    {
        using var step = d.BeginStep();
        var c = heads * width;
        Tensor Stored(int rows, uint seed) => Ops.Cast(Input.Normal(new(rows, c), seed).Fixed.ToTensor(d), type).WithGrad();
        var t = new[] { Stored(queries[^1], 1), Stored(keys[^1], 2), Stored(keys[^1], 3) };
        var wide = t.Select(Wide).ToArray();
        var s = scale ?? 1 / Math.Sqrt(width);
        var y = Ops.Attention(t[0], t[1], t[2], Tensor.From(d, queries, new(queries.Length)), Tensor.From(d, keys, new(keys.Length)), heads, scale).Keep();
        Assert.Equal(type, y.DType);
        Check.Close(Forward(wide[0], wide[1], wide[2], queries, keys, heads, width, s), Floats(y), tolerance, "forward");
        // Eighths: exact in both types.
        var g = Array.ConvertAll(Values.Normal((int)y.Count, 5), v => MathF.Round(v * 8) / 8);
        Ops.Sum(Ops.Multiply(y, Ops.Cast(Tensor.From(d, g, y.Shape), type))).Backward();
        var expected = Gradients(wide[0], wide[1], wide[2], Array.ConvertAll(g, v => (double)v), queries, keys, heads, width, s);
        for (var k = 0; k < 3; k++) Check.Close(expected[k], Floats(t[k].Grad!), tolerance, $"gradient of input {k}");
    }

    private static float[] Floats(Tensor x) => Ops.Cast(x, DType.F32).ToArray();

    private static double[] Wide(Tensor x) => Array.ConvertAll(Floats(x), v => (double)v);
}
