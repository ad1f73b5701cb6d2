using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class CmpmTests
{
    [Theory, OnEachDevice("1x4", "5x3", "16x8", "19x17")]
    public void Matches_the_formula_and_its_differences(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        foreach (var normalize in new[] { false, true })
            foreach (var form in new[] { MatchNormalization.Sum, MatchNormalization.L2Norm })
            {
                var ids = ContrastOracle.Identities(shape[0], 3);
                using var outer = d.BeginStep();
                var known = Tensor.From(d, ids, new(ids.Length));
                // 2e-5 of a loss near 2·18 (log ε), sums of 23 terms.
                Check.Op(d, t => Ops.Cmpm(t[0], t[1], known, normalize, 1.7f, form),
                    x => [ContrastOracle.Matching(x[0], x[1], ids, shape[1], normalize, 1.7f, form)],
                    [Input.Normal(new(shape), 1), Input.Normal(new(shape), 2)], 4e-5);
            }
    }

    /// <summary>The numerical trap: scale 50 on embeddings that point almost the same way, where a careless softmax overflows or loses p.</summary>
    [Theory, OnEachDevice]
    public void Survives_a_large_scale_and_collinear_embeddings(string device)
    {
        using var d = Devices.Open(device);
        var ids = ContrastOracle.Identities(20, 7);
        using var outer = d.BeginStep();
        var known = Tensor.From(d, ids, new(20));
        // Cosines near 1 are known to 6e-8, times 50: p to 3e-6; gradients by the embeddings carry the factor 50 again.
        Check.Op(d, t => Ops.Cmpm(t[0], t[1], known, true, 50f),
            x => [ContrastOracle.Matching(x[0], x[1], ids, 24, true, 50f, MatchNormalization.Sum)],
            [Input.Normal(new(20, 24), 1, 0.1f, 1f), Input.Normal(new(20, 24), 2, 0.1f, 1f)], 1e-4);
        Check.Op(d, t => Ops.Cmpm(t[0], t[1], known, false, 50f),
            x => [ContrastOracle.Matching(x[0], x[1], ids, 24, false, 50f, MatchNormalization.Sum)],
            [Input.Normal(new(20, 24), 1), Input.Normal(new(20, 24), 2)], 1e-4);
    }

    [Theory, OnEachDevice]
    public void A_zero_embedding_gets_no_gradient_and_spoils_none(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var values = Values.Normal(3 * 5, 1);
        values.AsSpan(5, 5).Clear();
        var v = Tensor.From(d, values, new(3, 5)).WithGrad();
        var t = Input.Normal(new(3, 5), 2).ToTensor(d);
        Ops.Cmpm(v, t, Tensor.From(d, [0, 1, 0], new(3)), true, 3f).Backward();
        Assert.All(v.Grad!.ToArray()[5..10], g => Assert.Equal(0f, g));
        Assert.All([.. v.Grad!.ToArray(), .. t.Grad!.ToArray()], g => Assert.True(float.IsFinite(g)));
    }

    /// <summary>The trap: identities are compared as bits in float registers, where 0 equals −0 and a NaN not even itself.</summary>
    [Theory, OnEachDevice]
    public void Identities_are_integers_whatever_floats_they_look_like(string device)
    {
        using var d = Devices.Open(device);
        using var outer = d.BeginStep();
        int[] kinds = [0, int.MinValue, 0x7FC00000, -1, 0x7F800001, 1];
        var ids = Enumerable.Range(0, 20).Select(i => kinds[i * i % 6]).ToArray();
        var known = Tensor.From(d, ids, new(20));
        Check.Op(d, t => Ops.Cmpm(t[0], t[1], known), x => [ContrastOracle.Matching(x[0], x[1], ids, 5, false, 1, MatchNormalization.Sum)],
            [Input.Normal(new(20, 5), 1), Input.Normal(new(20, 5), 2)], 4e-5);
    }

    [Fact]
    public void Any_number_of_threads_gives_the_same_bits_and_nothing_leaks()
    {
        Assert.Equal(Bits(1), Bits(4));

        static float[] Bits(int threads)
        {
            using var d = new CpuDevice(threads);
            float[] bits;
            using (d.BeginStep())
            {
                var (v, t) = (Input.Normal(new(67, 40), 1).ToTensor(d), Input.Normal(new(67, 40), 2).ToTensor(d));
                var loss = Ops.Cmpm(v, t, Tensor.From(d, ContrastOracle.Identities(67, 9), new(67)));
                loss.Backward();
                bits = [loss.Item(), .. v.Grad!.ToArray(), .. t.Grad!.ToArray()];
            }
            Assert.Equal(0, d.MemoryInUse.Blocks);
            return bits;
        }
    }

    [Fact]
    public void Wrong_shapes_are_named()
    {
        using var d = new CpuDevice(1);
        var (a, b) = (Tensor.Zeros(d, new(2, 3)), Tensor.Zeros(d, new(3, 3)));
        Assert.Contains("(3, 3)", Assert.Throws<ArgumentException>(() => Ops.Cmpm(a, b, Tensor.Zeros(d, new(2), DType.I32))).Message);
        Assert.StartsWith("Cmpm: expected elements of type F32, got BF16 (2, 3)",
            Assert.Throws<ArgumentException>(() => Ops.Cmpm(a, Tensor.Zeros(d, new(2, 3), DType.BF16), Tensor.Zeros(d, new(2), DType.I32))).Message);
        Assert.Contains("2 identities", Assert.Throws<ArgumentException>(() => Ops.Cmpm(a, a, Tensor.Zeros(d, new(3), DType.I32))).Message);
    }
}
