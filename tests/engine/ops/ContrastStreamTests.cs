using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>The contrastive losses without N×N in memory, held against the formula over all pairs in float64.</summary>
public class ContrastStreamTests
{
    private const int Kinds = 9;

    /// <summary>A loss as the engine has it and as the formula has it.</summary>
    private sealed record Case(string Name, Func<Tensor, Tensor, Tensor, Tensor> Ours, bool NormalizeBoth, double Scale, Func<int[], ContrastOracle.RowLoss> Row, bool BothWays = true);

    private static readonly Case[] s_cases =
    [
        new("cmpm", (v, t, ids) => Ops.Cmpm(v, t, ids), false, 1, ids => ContrastOracle.MatchingRow(ids, MatchNormalization.Sum)),
        new("cmpm both", (v, t, ids) => Ops.Cmpm(v, t, ids, true, 3f, MatchNormalization.L2Norm), true, 3, ids => ContrastOracle.MatchingRow(ids, MatchNormalization.L2Norm)),
        new("sdm", (v, t, ids) => Ops.Sdm(v, t, ids, 20f), true, 20, ids => ContrastOracle.MatchingRow(ids, MatchNormalization.Sum)),
        new("info_nce", (v, t, _) => Ops.InfoNce(v, t, 10f), true, 10, _ => ContrastOracle.InstanceRow),
        new("alignment", (v, t, ids) => Ops.AlignmentLoss(v, t, ids), true, 1, ids => ContrastOracle.AlignmentRow(ids), false),
    ];

    // Losses near 18 = −log ε; the scores' errors, 1e-7 of 20, are divided by lengths of √5 and more. Gradients are of 1/N.
    [Theory, OnEachDevice("1x5", "7x64", "130x96", "257x5", "300x64")]
    public void Matches_the_formula_over_all_pairs(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        foreach (var c in s_cases) Hold(d, c, shape, DType.F32, 2e-5, 2e-4);
    }

    /// <summary>Products of 16-bit numbers are exact in F32, so the loss is as good as F32's; gradients are rounded, on a GPU also H.</summary>
    [Theory, OnEachDevice("7x64", "130x96", "257x5")]
    public void Matches_the_formula_in_BF16(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        foreach (var c in s_cases) Hold(d, c, shape, DType.BF16, 2e-5, Check.BF16Tolerance);
    }

    /// <summary>Columns that are gathered as rows of a second pass: the same formula, without the sum of the columns in F32.</summary>
    [Theory, OnEachDevice("7x64", "257x5")]
    public void A_fifth_product_takes_the_place_of_the_columns_sum(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        foreach (var c in s_cases) Hold(d, c, shape, DType.BF16, 2e-5, Check.BF16Tolerance, mostSum: 0);
    }

    [Theory, InlineData("cpu"), InlineData("cuda")]
    public void And_saves_its_memory(string device)
    {
        const int n = 1024, width = 96;
        using var d = Devices.Open(device);
        Assert.InRange(Peak(long.MaxValue) - Peak(0), 4L * n * width * 9 / 10, 4L * n * width * 11 / 10);

        long Peak(long mostSum)
        {
            using var step = d.BeginStep();
            using var forced = Contrast.Force(ContrastPath.Streamed, 0, mostSum);
            var (v, t) = (Ops.Cast(Input.Normal(new(n, width), 1).Fixed.ToTensor(d), DType.BF16).WithGrad(), Ops.Cast(Input.Normal(new(n, width), 2).Fixed.ToTensor(d), DType.BF16).WithGrad());
            var loss = Ops.InfoNce(v, t, 10f);
            d.ResetPeak(); // the forward has sums of parts that the backward has not
            loss.Backward();
            return d.MemoryInUse.PeakBytes;
        }
    }

    /// <summary>F16 holds no numbers below 6e-8: gradients by embeddings of length 1,000 would be lost without their powers of two.</summary>
    [Theory, OnEachDevice]
    public void Matches_the_formula_in_F16_whatever_the_lengths(string device)
    {
        using var d = Devices.Open(device);
        foreach (var c in s_cases.Skip(1)) Hold(d, c, [130, 40], DType.F16, 2e-5, 1.0 / 512, size: 200f);
    }

    /// <summary>Blocks that walk several rows and columns of tiles, the last of them ragged.</summary>
    [Theory, InlineData("cuda", 1), InlineData("cuda", 2), InlineData("cuda-exact", 3)]
    public void Any_number_of_parts_gives_the_formula(string device, int parts)
    {
        using var d = Devices.Open(device);
        foreach (var type in new[] { DType.F32, DType.BF16 })
            foreach (var c in s_cases) Hold(d, c, [530, 8], type, 2e-5, type == DType.F32 ? 2e-4 : Check.BF16Tolerance, parts);
    }

    [Theory, OnEachDevice("5x3", "19x17")]
    public void Matches_the_formulas_differences(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        using var outer = d.BeginStep();
        using var forced = Contrast.Force(ContrastPath.Streamed);
        var ids = ContrastOracle.Identities(shape[0], 3);
        var known = Tensor.From(d, ids, new(ids.Length));
        Check.Op(d, t => Ops.Cmpm(t[0], t[1], known, false, 1.7f), x => [ContrastOracle.Matching(x[0], x[1], ids, shape[1], false, 1.7f, MatchNormalization.Sum)],
            [Input.Normal(new(shape), 1), Input.Normal(new(shape), 2)], 4e-5);
    }

    /// <summary>The numerical trap: scores of 5,000 on embeddings that point almost the same way; a sum without its highest score taken off is infinite.</summary>
    [Theory, OnEachDevice]
    public void Survives_a_large_scale_and_collinear_embeddings(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        using var forced = Contrast.Force(ContrastPath.Streamed);
        var ids = ContrastOracle.Identities(140, 7);
        var known = Tensor.From(d, ids, new(140));
        foreach (var scale in new[] { 50f, 5000f })
        {
            var (v, t) = (Input.Normal(new(140, 24), 1, 0.1f, 1f), Input.Normal(new(140, 24), 2, 0.1f, 1f));
            var expected = ContrastOracle.Gradients(Wide(v.Values), Wide(t.Values), 24, true, scale, ContrastOracle.MatchingRow(ids, MatchNormalization.Sum), true);
            // Cosines near 1 are known to 1e-7, and f of a loss near 18 moves with the scores.
            Assert.Equal(1, Ops.Sdm(v.ToTensor(d), t.ToTensor(d), known, scale).Item() / expected.Loss, 1e-6 * scale);
        }
    }

    /// <summary>The numerical trap: pairs so certain that p rounds to 1 still have a gradient, that of the other columns.</summary>
    [Theory, OnEachDevice]
    public void A_certain_pair_keeps_a_gradient(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        using var forced = Contrast.Force(ContrastPath.Streamed);
        var v = Tensor.From(d, [1f, 0f, 0.6f, 0.8f], new(2, 2)).WithGrad();
        Ops.InfoNce(v, Tensor.From(d, [1f, 0f, 0.6f, 0.8f], new(2, 2)), 50f).Backward();
        var p = Math.Exp(-20) / (1 + Math.Exp(-20)); // as InfoNceTests has it
        Assert.Equal(1, v.Grad!.ToArray()[1] / (50 * p * 0.8 / 2), 1e-4);
    }

    [Theory, OnEachDevice]
    public void A_zero_embedding_gets_no_gradient_and_spoils_none(string device)
    {
        using var d = Devices.Open(device);
        foreach (var c in s_cases) Hold(d, c, [131, 5], DType.F32, 2e-5, 2e-4, zero: 130);
        foreach (var c in s_cases) Hold(d, c, [131, 8], DType.BF16, 2e-5, Check.BF16Tolerance, zero: 3);
    }

    /// <summary>A model that has come apart must show in its loss, whatever maxima and lengths make of a NaN.</summary>
    [Theory, OnEachDevice]
    public void A_NaN_shows_in_the_loss(string device)
    {
        using var d = Devices.Open(device);
        using var forced = Contrast.Force(ContrastPath.Streamed);
        foreach (var type in new[] { DType.F32, DType.BF16, DType.F16 })
            foreach (var c in s_cases)
            {
                using var step = d.BeginStep(recordGradients: false);
                var (v, t) = (Input.Normal(new(20, 8), 1) with { Type = type }, Input.Normal(new(20, 8), 2) with { Type = type });
                t.Values[150] = float.NaN;
                var loss = c.Ours(v.ToTensor(d), t.ToTensor(d), Tensor.From(d, ContrastOracle.Identities(20, Kinds), new(20)));
                Assert.True(float.IsNaN(loss.Item()), $"{c.Name} {type}: {loss.Item()}");
            }
    }

    [Theory, OnEachDevice]
    public void One_side_alone_gets_the_gradient_that_it_gets_with_the_other(string device)
    {
        using var d = Devices.Open(device);
        var both = Run(d, s_cases[0], [140, 9], DType.F32);
        using var step = d.BeginStep();
        using var forced = Contrast.Force(ContrastPath.Streamed);
        var (v, t) = (Input.Normal(new(140, 9), 1), Input.Normal(new(140, 9), 2));
        var known = Tensor.From(d, ContrastOracle.Identities(140, Kinds), new(140));
        var texts = t.ToTensor(d);
        Ops.Cmpm(v.Fixed.ToTensor(d), texts, known).Backward();
        Check.Close(Wide(both.Dt), texts.Grad!.ToArray(), 1e-6, "texts alone");
    }

    [Theory, OnEachDevice]
    public void Both_paths_agree_and_the_same_is_the_same_bits(string device)
    {
        using var d = Devices.Open(device);
        foreach (var c in s_cases)
        {
            var (streamed, again, stored) = (Run(d, c, [140, 24], DType.F32), Run(d, c, [140, 24], DType.F32), Run(d, c, [140, 24], DType.F32, ContrastPath.Stored));
            Assert.Equal(streamed.Loss, again.Loss);
            Assert.Equal(streamed.Dv, again.Dv);
            Assert.Equal(streamed.Dt, again.Dt);
            Assert.Equal(1, streamed.Loss / stored.Loss, 2e-6);
            Check.Close(Wide(stored.Dv), streamed.Dv, 1e-4, $"{c.Name}, images");
            Check.Close(Wide(stored.Dt), streamed.Dt, 1e-4, $"{c.Name}, texts");
        }
        // By size: a batch of more than four times its width is streamed.
        Assert.Equal(Run(d, s_cases[0], [61, 15], DType.F32).Loss, Run(d, s_cases[0], [61, 15], DType.F32, ContrastPath.BySize).Loss);
        Assert.Equal(Run(d, s_cases[0], [60, 15], DType.F32, ContrastPath.Stored).Dv, Run(d, s_cases[0], [60, 15], DType.F32, ContrastPath.BySize).Dv);
    }

    /// <summary>Of both rungs the first takes F32 too.</summary>
    [Theory, InlineData("cuda", 0, DType.F32), InlineData("cuda", 0, DType.BF16), InlineData("cuda-exact", 1, DType.BF16), InlineData("cuda", 1, DType.F16)]
    public void The_rungs_below_give_the_loss_of_the_formula(string device, int rung, DType type)
    {
        using var d = Devices.Open(device);
        foreach (var shape in new Shape[] { new(1, 8), new(150, 72), new(70, 9) })
        {
            using var step = d.BeginStep(recordGradients: false);
            var (v, t) = ((Input.Normal(shape, 1) with { Type = type }).ToTensor(d), (Input.Normal(shape, 2) with { Type = type }).ToTensor(d));
            var expected = ContrastOracle.Gradients(
                Wide(Ops.Cast(v, DType.F32).ToArray()), Wide(Ops.Cast(t, DType.F32).ToArray()), shape.Cols, true, 10, ContrastOracle.InstanceRow, true);
            Check.Close([expected.Loss], [ContrastLadder.Loss(ContrastLadder.Rungs[rung], v, t, 10f).Item()], 1e-5, $"{ContrastLadder.Rungs[rung].Name} {shape}");
        }
    }

    [Fact]
    public void Embeddings_that_cannot_be_are_refused()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var bytes = Tensor.Zeros(d, new(2, 3), DType.I32);
        Assert.StartsWith("InfoNce: expected embeddings of a float type, got I32 (2, 3)", Assert.Throws<ArgumentException>(() => Ops.InfoNce(bytes, bytes)).Message);
    }

    [Fact]
    public void Any_number_of_threads_gives_the_same_bits_and_nothing_leaks()
    {
        foreach (var c in s_cases) Assert.Equal(Bits(c, 1), Bits(c, 3));

        static float[] Bits(Case c, int threads)
        {
            using var d = new CpuDevice(threads);
            var run = Run(d, c, [333, 40], DType.F32);
            Assert.Equal(0, d.MemoryInUse.Blocks);
            return [run.Loss, .. run.Dv, .. run.Dt];
        }
    }

    /// <summary>
    /// 4,096 pairs of width 32: 0.5 MB a tensor, where N×N floats are 67 MB. Two inputs, two gradients and a panel of 64 rows (128 on a GPU, whose sums of
    /// parts come besides).
    /// </summary>
    [Theory, InlineData("cpu", DType.F32, 10), InlineData("cpu", DType.BF16, 10), InlineData("cuda", DType.F32, 22), InlineData("cuda", DType.BF16, 22)]
    public void Memory_does_not_grow_with_the_pairs_squared(string device, DType type, int tensors)
    {
        const int n = 4096, width = 32;
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var (v, t) = (Ops.Cast(Input.Normal(new(n, width), 1).Fixed.ToTensor(d), type).WithGrad(), Ops.Cast(Input.Normal(new(n, width), 2).Fixed.ToTensor(d), type).WithGrad());
        var known = Tensor.From(d, ContrastOracle.Identities(n, 100), new(n));
        d.ResetPeak();
        Ops.Cmpm(v, t, known).Backward();
        Assert.True(float.IsFinite(Ops.Cast(v.Grad!, DType.F32).ToArray()[^1]));
        Assert.InRange(d.MemoryInUse.PeakBytes, 4L * n * width, 4L * tensors * n * width);
    }

    private static void Hold(Device d, Case c, int[] shape, DType type, double lossTolerance, double tolerance, int parts = 0, float size = 1, int zero = -1, long? mostSum = null)
    {
        var (n, width) = (shape[0], shape[1]);
        var run = Run(d, c, shape, type, ContrastPath.Streamed, parts, size, zero, mostSum);
        var ids = ContrastOracle.Identities(n, Kinds);
        var expected = ContrastOracle.Gradients(Wide(run.V), Wide(run.T), width, c.NormalizeBoth, c.Scale, c.Row(ids), c.BothWays);
        Check.Close([expected.Loss], [run.Loss], lossTolerance, $"{c.Name}: loss");
        // Relative to the largest: gradients are of 1/N, and smaller yet where embeddings are long.
        Relative(expected.Dv, run.Dv, tolerance, $"{c.Name}: images");
        Relative(expected.Dt, run.Dt, tolerance, $"{c.Name}: texts");
    }

    private static void Relative(double[] expected, float[] actual, double tolerance, string what)
    {
        var largest = expected.Max(Math.Abs);
        // Alone a pair is certain, and its gradient nothing but rounding.
        if (largest < 1e-9) Assert.All(actual, a => Assert.True(Math.Abs(a) < 1e-4, what));
        else Check.Close(Array.ConvertAll(expected, e => e / largest), Array.ConvertAll(actual, a => (float)(a / largest)), tolerance, what);
    }

    private static (float Loss, float[] Dv, float[] Dt, float[] V, float[] T) Run(
        Device d, Case c, int[] shape, DType type, ContrastPath path = ContrastPath.Streamed, int parts = 0, float size = 1, int zero = -1, long? mostSum = null)
    {
        using var step = d.BeginStep();
        using var forced = Contrast.Force(path, parts, mostSum);
        var (a, b) = (Input.Normal(new(shape), 1, size), Input.Normal(new(shape), 2, size));
        if (zero >= 0)
            foreach (var x in new[] { a, b }) x.Values.AsSpan(zero * shape[1], shape[1]).Clear();
        var (v, t) = ((a with { Type = type }).ToTensor(d), (b with { Type = type }).ToTensor(d));
        var loss = c.Ours(v, t, Tensor.From(d, ContrastOracle.Identities(shape[0], Kinds), new(shape[0])));
        var (stored, storedTexts) = (Floats(v), Floats(t));
        var lossScale = type == DType.F16 ? 65536f : 1; // as training has it, or F16 holds no gradient of 10⁻⁶
        loss.Backward(lossScale);
        return (loss.Item(), Floats(v.Grad!, lossScale), Floats(t.Grad!, lossScale), stored, storedTexts);

        static float[] Floats(Tensor x, float scale = 1) => Array.ConvertAll(Ops.Cast(x, DType.F32).ToArray(), e => e / scale);
    }

    private static double[] Wide(float[] x) => Array.ConvertAll(x, v => (double)v);
}
