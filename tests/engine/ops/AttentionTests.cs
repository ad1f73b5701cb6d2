using CsCheck;
using Plip.Engine;
using Xunit;
using static Plip.Tests.Engine.AttentionFormula;

namespace Plip.Tests.Engine;

public class AttentionTests
{
    // heads x head width x lengths
    [Theory, OnEachDevice("1x3x1", "2x3x4x1x6", "1x16x5x2", "2x5x17x3")]
    public void Matches_the_formula_and_its_differences(string device, int[] s)
    {
        using var d = Devices.Open(device);
        var (heads, width, at) = (s[0], s[1], Offsets(s[2..]));
        var shape = new Shape(at[^1], heads * width);
        Check.Op(d, t => Ops.Attention(t[0], t[1], t[2], Tensor.From(d, at, new(at.Length)), heads),
            x => Forward(x[0], x[1], x[2], at, at, heads, width, 1 / Math.Sqrt(width)),
            [Input.Normal(shape, 1), Input.Normal(shape, 2), Input.Normal(shape, 3)], 2e-5);
    }

    [Theory, OnEachDevice("2x3x4x1x6", "1x16x5x2", "2x5x17x3", In16Bits = true)]
    public void Matches_in_16_bits(string device, int[] s, DType type)
    {
        using var d = Devices.Open(device);
        var (heads, width, at) = (s[0], s[1], Offsets(s[2..]));
        var shape = new Shape(at[^1], heads * width);
        Check.Op(d, t => Ops.Attention(t[0], t[1], t[2], Tensor.From(d, at, new(at.Length)), heads),
            x => Forward(x[0], x[1], x[2], at, at, heads, width, 1 / Math.Sqrt(width)),
            [Input.Normal(shape, 1).As(type), Input.Normal(shape, 2).As(type), Input.Normal(shape, 3).As(type)], 2e-5);
    }

    /// <summary>Every head width in use (64 BERT, 256 CLIP's pool), lengths over both panels and over a block of 64 queries.</summary>
    [Theory, OnEachDevice("2x64x25x64x1x33", "1x256x33x7", "3x16x64x63x17x16", "2x3x65x130", "1x40x31x32x33x48x49")]
    public void Matches_the_written_gradient_at_sizes_in_use(string device, int[] s)
    {
        using var d = Devices.Open(device);
        var at = Offsets(s[2..]);
        Compare(d, at, at, s[0], s[1], null);
    }

    [Theory, OnEachDevice]
    public void Queries_may_have_lengths_of_their_own(string device)
    {
        using var d = Devices.Open(device);
        Compare(d, Offsets([1, 1, 1]), Offsets([33, 33, 33]), 2, 64, null); // attention pooling
        Compare(d, Offsets([3, 0, 70, 2]), Offsets([5, 4, 9, 40]), 2, 8, 0.3f);
        Compare(d, Offsets([2, 0]), Offsets([3, 0]), 1, 4, null);
    }

    /// <summary>Any lengths, heads and widths: what a batch of captions may bring.</summary>
    [Fact]
    public void Matches_for_random_ragged_lengths()
    {
        using var d = new CpuDevice(2);
        Gen.Select(Gen.Int[1, 64].Array[1, 5], Gen.Int[1, 3], Gen.Int[1, 40]).Sample(
            (lengths, heads, width) => Compare(d, Offsets(lengths), Offsets(lengths), heads, width, null), iter: 25, threads: 1);
    }

    /// <summary>The numerical trap: scores near ±10⁴ overflow exp unless the largest is taken off first.</summary>
    [Theory, OnEachDevice]
    public void Survives_large_scores(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        int[] at = [0, 3, 8];
        var x = Values.Normal(8 * 4, 1);
        var large = Array.ConvertAll(x, v => v * 100);
        var (q, v) = (Tensor.From(d, large, new(8, 4)).WithGrad(), Tensor.From(d, x, new(8, 4)));
        var y = Ops.Attention(q, q, v, Tensor.From(d, at, new(3)), 1, 1f).Keep();
        var wide = Array.ConvertAll(large, e => (double)e);
        // Scores near 1e4 carry 1e-3 of rounding, so probabilities of near ties do too.
        Check.Close(Forward(wide, wide, Array.ConvertAll(x, e => (double)e), at, at, 1, 4, 1), y.ToArray(), 5e-3, "forward");
        Ops.Sum(y).Backward();
        Assert.All(q.Grad!.ToArray(), g => Assert.True(float.IsFinite(g)));
    }

    [Fact]
    public void The_bits_do_not_depend_on_the_number_of_threads()
    {
        float[][] Run(int threads)
        {
            using var d = new CpuDevice(threads);
            using var step = d.BeginStep();
            var at = Offsets([25, 7, 64, 1, 40]);
            var t = Enumerable.Range(1, 3).Select(i => Input.Normal(new(at[^1], 96), (uint)i).ToTensor(d)).ToArray();
            var y = Ops.Attention(t[0], t[1], t[2], Tensor.From(d, at, new(at.Length)), 3).Keep();
            Ops.Sum(Ops.Multiply(y, y)).Backward();
            return [y.ToArray(), .. t.Select(x => x.Grad!.ToArray())];
        }

        Assert.Equal(Run(1), Run(3));
    }

    [Theory, OnEachDevice]
    public void Says_what_does_not_fit(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        string Error(int[] at, int[] keys, int heads) => Check.Refusal(d, () => Ops.Attention(
            Tensor.Zeros(d, new(4, 6)), Tensor.Zeros(d, new(4, 6)), Tensor.Zeros(d, new(4, 6)),
            Tensor.From(d, at, new(at.Length)), Tensor.From(d, keys, new(keys.Length)), heads));
        Assert.Equal("Attention: 4 heads do not divide a width of 6", Error([0, 4], [0, 4], 4));
        Assert.Equal("Attention: the offsets end at 3, but there are 4 rows", Error([0, 3], [0, 4], 2));
        Assert.Equal("Attention: the offsets fall from 5 to 4 at position 2", Error([0, 5, 4], [0, 2, 4], 2));
        Assert.Equal("Attention: the offsets start at 1; the first sequence starts at row 0", Error([1, 4], [0, 4], 2));
        Assert.Equal("Attention: sequence 1 has queries but no keys to attend to", Error([0, 2, 4], [0, 4, 4], 2));
        Assert.Equal("Attention: 1 sequences of queries, 2 of keys", Error([0, 4], [0, 2, 4], 2));
    }

    private static void Compare(Device d, int[] queries, int[] keys, int heads, int width, float? scale)
    {
        using var step = d.BeginStep();
        var c = heads * width;
        var inputs = new[] { Input.Normal(new(queries[^1], c), 1), Input.Normal(new(keys[^1], c), 2), Input.Normal(new(keys[^1], c), 3) };
        var t = inputs.Select(i => i.ToTensor(d)).ToArray();
        var wide = inputs.Select(i => Array.ConvertAll(i.Values, v => (double)v)).ToArray();
        var s = scale ?? 1 / Math.Sqrt(width);
        var y = Ops.Attention(t[0], t[1], t[2], Tensor.From(d, queries, new(queries.Length)), Tensor.From(d, keys, new(keys.Length)), heads, scale).Keep();
        Check.Close(Forward(wide[0], wide[1], wide[2], queries, keys, heads, width, s), y.ToArray(), 2e-5, "forward");
        var g = Values.Normal((int)y.Count, 5);
        Ops.Sum(Ops.Multiply(y, Tensor.From(d, g, y.Shape))).Backward();
        var expected = Gradients(wide[0], wide[1], wide[2], Array.ConvertAll(g, v => (double)v), queries, keys, heads, width, s);
        for (var k = 0; k < 3; k++) Check.Close(expected[k], t[k].Grad!.ToArray(), 4e-5, $"gradient of input {k}");
    }
}
