using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class Conv2dTests
{
    // n h w c r s k stride padding: stem, bottleneck and point-wise shapes in small, tails, odd filters, remainders.
    [Theory, OnEachDevice(
        "2x5x4x3x3x3x5x1x1", "2x7x6x3x3x3x4x2x1", "1x4x4x2x1x1x3x1x0", "2x5x5x2x1x1x3x2x0", "1x6x5x2x3x2x17x1x0",
        "1x8x7x1x5x3x2x3x2", "3x4x3x9x3x3x33x1x1")]
    public void Matches_the_formula_and_its_differences(string device, int[] q)
    {
        using var d = Devices.Open(device);
        var s = Geometry(q);
        Check.Op(d, t => Ops.Conv2d(t[0], t[1], t[2], s.Stride, s.Padding), v => Forward(v[0], v[1], v[2], s),
            [Input.Normal(new(s.N, s.H, s.W, s.C), 1), Input.Normal(new(s.R, s.S, s.C, s.K), 2), Input.Normal(new(s.K), 3)], 3e-5);
    }

    // Small maps, of which only the taps inside are multiplied: one pixel, one row, filters larger than the map, outputs that no
    // tap reaches, pictures enough to fill tiles and a remainder, strides with padding.
    [Theory, OnEachDevice(
        "3x1x1x3x3x3x4x1x1", "9x2x2x2x3x3x3x1x1", "2x1x5x3x3x3x2x1x1", "2x5x1x3x3x3x2x1x1", "3x2x3x2x5x5x3x1x2", "2x2x2x2x3x3x2x1x2",
        "2x1x1x2x1x1x3x1x1", "5x4x3x2x3x3x3x2x1", "3x3x4x2x5x3x2x2x2", "2x3x3x1x4x4x2x1x2")]
    public void Matches_where_taps_fall_outside_the_picture(string device, int[] q)
    {
        using var d = Devices.Open(device);
        var s = Geometry(q);
        Check.Op(d, t => Ops.Conv2d(t[0], t[1], t[2], s.Stride, s.Padding), v => Forward(v[0], v[1], v[2], s),
            [Input.Normal(new(s.N, s.H, s.W, s.C), 1), Input.Normal(new(s.R, s.S, s.C, s.K), 2), Input.Normal(new(s.K), 3)], 3e-5);
    }

    [Theory, OnEachDevice("4x24x12x16x3x3x32x1x1", "2x16x8x64x1x1x48x1x0", "2x10x6x70x3x3x40x1x1", "3x9x9x130x3x3x20x1x1",
        "19x6x3x24x3x3x70x1x1", "17x6x3x40x3x3x34x2x1", "2x8x4x128x3x3x40x1x1", "9x3x2x16x5x5x20x1x2",
        "2x4x3x128x3x3x128x1x1", "2x7x6x128x3x3x128x1x1", "1x13x14x130x3x3x120x2x1",
        "1x12x12x132x1x1x1024x2x0", "40x3x1x40x1x1x48x1x0", // many channels at stride two; 1×1 filters on pictures of few pixels
        "1x64x130x4x1x3x128x1x0", "1x64x130x128x3x1x4x1x0")] // the last two fill a GPU's large tiles, forward and for data
    public void Matches_at_sizes_that_are_cut_into_blocks(string device, int[] q) => MatchesOnce(device, q);

    // Results of one vector of channels, 512, 256 and 128 bits wide: tiles of twice the rows, where pixels are evenly spaced.
    [Theory, OnEachDevice("3x9x26x12x3x3x16x1x1", "3x9x26x12x3x3x8x1x1", "3x9x26x12x3x3x4x1x1", "2x6x19x16x3x3x8x1x1",
        "2x7x9x20x1x1x16x1x0", "2x7x9x20x1x1x8x1x0", "2x7x9x20x1x1x4x1x0", "2x7x9x16x1x1x40x1x0", "2x7x9x8x1x1x40x1x0")]
    public void Matches_where_results_are_one_vector_wide(string device, int[] q) => MatchesOnce(device, q);

    // 3×3 filters over whole vectors of channels: maps that tiles do not divide, each padding, several blocks of tiles, channels in several
    // parts with more and with fewer outputs, gradients in groups and in batches, both strides.
    [Theory, OnEachDevice("2x7x5x16x3x3x48x1x1", "3x9x12x80x3x3x16x1x0", "2x6x6x32x3x3x32x1x2", "9x16x12x16x3x3x16x1x1", "2x10x8x144x3x3x16x1x1",
        "1x11x9x16x3x3x16x2x1", "3x12x10x32x3x3x16x2x0", "1x9x7x256x3x3x256x2x1", "5x14x14x128x3x3x144x1x1")]
    public void Matches_where_minimal_filtering_is_used(string device, int[] q) => MatchesOnce(device, q);

    // Pictures of few channels, whose taps are all multiplied at once: lines that tiles do not divide, filters of one to four columns of
    // outputs, lines of a block in one vector and in several, pixels that no tap reaches, one picture in bands, sums long enough to ask ahead.
    [Theory, OnEachDevice("2x19x21x3x3x3x16x2x1", "1x20x17x3x3x3x33x1x1", "2x23x25x3x7x7x20x2x3", "3x16x33x1x2x2x12x3x1", "3x12x40x5x4x4x24x3x2",
        "1x64x20x3x3x3x16x2x1", "1x17x19x3x3x3x256x2x1", "1x9x12x2x3x3x24x1x4")]
    public void Matches_where_pictures_have_few_channels(string device, int[] q) => MatchesOnce(device, q);

    /// <summary>From 16 bits it is, but for the rounding of what is stored, what F32 makes of the same numbers.</summary>
    [Theory, OnEachDevice("2x7x5x16x3x3x48x1x1", "2x10x8x144x3x3x16x1x1", "1x11x9x16x3x3x16x2x1", In16Bits = true)]
    public void Minimal_filtering_matches_in_16_bits(string device, int[] q, DType type)
    {
        using var d = Devices.Open(device);
        var s = Geometry(q);
        using var step = d.BeginStep();
        var (x, w) = (Input.Normal(new(s.N, s.H, s.W, s.C), 1).As(type).ToTensor(d), Input.Normal(new(s.R, s.S, s.C, s.K), 2).As(type).ToTensor(d));
        var (wideX, wideW) = (Tensor.From(d, Ops.Cast(x, DType.F32).ToArray(), x.Shape).WithGrad(), Tensor.From(d, Ops.Cast(w, DType.F32).ToArray(), w.Shape).WithGrad());
        var y = Ops.Cast(Ops.Conv2d(x, w, null, s.Stride, s.Padding), DType.F32).Keep();
        var wideY = Ops.Conv2d(wideX, wideW, null, s.Stride, s.Padding).Keep();
        Check.Close(Array.ConvertAll(wideY.ToArray(), v => (double)v), y.ToArray(), 4e-3, "forward");
        var g = Ops.Cast(Input.Normal(y.Shape, 5).As(type).ToTensor(d), DType.F32).ToArray();
        Ops.Sum(Ops.Add(Ops.Multiply(y, Tensor.From(d, g, y.Shape)), Ops.Multiply(wideY, Tensor.From(d, g, y.Shape)))).Backward();
        Check.Close(Array.ConvertAll(wideX.Grad!.ToArray(), v => (double)v), Ops.Cast(x.Grad!, DType.F32).ToArray(), 4e-3, "data gradient");
        Check.Close(Array.ConvertAll(wideW.Grad!.ToArray(), v => (double)v), w.Grad!.ToArray(), 2e-5, "weight gradient");
    }

    /// <summary>One forward and backward of numbers too many to be varied one by one.</summary>
    private static void MatchesOnce(string device, int[] q)
    {
        using var d = Devices.Open(device);
        var s = Geometry(q);
        var (x, w) = (Input.Normal(new(s.N, s.H, s.W, s.C), 1), Input.Normal(new(s.R, s.S, s.C, s.K), 2));
        var (xd, wd) = (Array.ConvertAll(x.Values, v => (double)v), Array.ConvertAll(w.Values, v => (double)v));
        using var step = d.BeginStep();
        var (tx, tw) = (x.ToTensor(d), w.ToTensor(d));
        var bias = Input.Normal(new(s.K), 3);
        var y = Ops.Conv2d(tx, tw, bias.ToTensor(d), s.Stride, s.Padding).Keep();
        Check.Close(Forward(xd, wd, Array.ConvertAll(bias.Values, v => (double)v), s), y.ToArray(), 2e-5, "forward");
        var g = Values.Normal((int)y.Count, 5);
        Ops.Sum(Ops.Multiply(y, Tensor.From(d, g, y.Shape))).Backward();
        var (dx, dw) = Backward(xd, wd, Array.ConvertAll(g, v => (double)v), s);
        Check.Close(dx, tx.Grad!.ToArray(), 2e-5, "data gradient");
        Check.Close(dw, tw.Grad!.ToArray(), 2e-5, "weight gradient");
    }

    /// <summary>A large filter's gradient from BF16 is, but for the order of its sums, F32's from the same numbers.</summary>
    [Theory, OnEachDevice("2x4x3x128x3x3x128x1x1", "2x7x6x128x3x3x128x1x1")]
    public void Large_filters_sum_BF16_in_F32(string device, int[] q)
    {
        using var d = Devices.Open(device);
        var s = Geometry(q);
        using var step = d.BeginStep();
        var (x, w) = (Input.Normal(new(s.N, s.H, s.W, s.C), 1).BF16.ToTensor(d), Input.Normal(new(s.R, s.S, s.C, s.K), 2).BF16.ToTensor(d));
        var wideX = Ops.Cast(x, DType.F32).Keep();
        Ops.Sum(Ops.Cast(Ops.Conv2d(x, w, null, s.Stride, s.Padding), DType.F32)).Backward();
        var expected = new double[w.Count];
        var (xs, at) = (wideX.ToArray(), 0);
        for (var r = 0; r < s.R; r++)
            for (var q2 = 0; q2 < s.S; q2++)
                for (var c = 0; c < s.C; c++, at += s.K)
                {
                    var sum = 0.0;
                    for (var n = 0; n < s.N; n++)
                        for (var i = 0; i < s.Ho; i++)
                            for (var j = 0; j < s.Wo; j++)
                            {
                                var (h, v) = (i * s.Stride + r - s.Padding, j * s.Stride + q2 - s.Padding);
                                if (h >= 0 && h < s.H && v >= 0 && v < s.W) sum += xs[((n * s.H + h) * s.W + v) * s.C + c];
                            }
                    expected.AsSpan(at, s.K).Fill(sum);
                }
        Check.Close(expected, w.Grad!.ToArray(), 2e-5, "weight gradient");
    }

    /// <summary>Pictures and filters stored in 16 bits: sums stay F32, so only the inputs' and the results' rounding is seen.</summary>
    [Theory, OnEachDevice("2x5x4x3x3x3x5x1x1", "2x7x6x3x3x3x4x2x1", "1x4x4x2x1x1x3x1x0", "1x6x5x2x3x2x17x1x0", "9x3x2x2x3x3x3x1x1", "1x6x19x2x3x3x8x2x1", "2x4x25x1x2x2x12x3x1", In16Bits = true)]
    public void Matches_in_16_bits(string device, int[] q, DType type)
    {
        using var d = Devices.Open(device);
        var s = Geometry(q);
        Check.Op(d, t => Ops.Conv2d(t[0], t[1], t[2], s.Stride, s.Padding), v => Forward(v[0], v[1], v[2], s),
            [Input.Normal(new(s.N, s.H, s.W, s.C), 1).As(type), Input.Normal(new(s.R, s.S, s.C, s.K), 2).As(type), Input.Normal(new(s.K), 3)], 3e-5);
    }

    [Theory, OnEachDevice(In16Bits = true)]
    public void Transposed_matches_in_16_bits(string device, DType type)
    {
        using var d = Devices.Open(device);
        Check.Op(d, t => Ops.ConvTranspose2d(t[0], t[1], t[2], 2, 1, 1), v => Scatter(v[0], v[1], v[2], 2, 3, 4, 3, 3, 3, 5, 2, 1, 6, 8),
            [Input.Normal(new(2, 3, 4, 3), 1).As(type), Input.Normal(new(3, 3, 5, 3), 2).As(type), Input.Normal(new(5), 3)], 3e-5);
    }

    // n hi wi k r s c stride padding extra
    [Theory, OnEachDevice("2x3x4x3x3x3x5x2x1x1", "1x4x3x2x3x3x2x1x1x0", "2x3x3x4x2x2x3x2x0x0", "1x3x2x2x1x1x3x2x0x1", "2x6x3x20x3x3x18x2x1x1", "1x5x9x8x3x3x2x2x1x1")]
    public void Transposed_matches_the_formula_and_its_differences(string device, int[] q)
    {
        using var d = Devices.Open(device);
        var (n, hi, wi, k, r, f, c, stride, padding, extra) = (q[0], q[1], q[2], q[3], q[4], q[5], q[6], q[7], q[8], q[9]);
        var (ho, wo) = ((hi - 1) * stride - 2 * padding + r + extra, (wi - 1) * stride - 2 * padding + f + extra);
        var w = Input.Normal(new(r, f, c, k), 2);
        Check.Op(d, t => Ops.ConvTranspose2d(t[0], t[1], t[2], stride, padding, extra),
            v => Scatter(v[0], v[1], v[2], n, hi, wi, k, r, f, c, stride, padding, ho, wo),
            [Input.Normal(new(n, hi, wi, k), 1), r * f * c * k > 1000 ? w.Fixed : w, Input.Normal(new(c), 3)], 3e-5);
    }

    /// <summary>A relu in the same pass on tensor cores, behind it elsewhere; both types, and the transposed convolution.</summary>
    [Theory, OnEachDevice("2x5x4x8x3x3x8x1x1", "1x6x8x3x3x3x16x2x1", "1x4x4x2x1x1x3x1x0")]
    public void A_relu_may_follow(string device, int[] q)
    {
        using var d = Devices.Open(device);
        var s = Geometry(q);
        Input[] inputs = [Input.Normal(new(s.N, s.H, s.W, s.C), 1), Input.Normal(new(s.R, s.S, s.C, s.K), 2), Input.Normal(new(s.K), 3)];
        Input[] turned = [Input.Normal(new(s.N, s.Ho, s.Wo, s.K), 4), inputs[1], Input.Normal(new(s.C), 5)];
        var extra = (s.H + 2 * s.Padding - s.R) % s.Stride;
        foreach (var bf16 in new[] { false, true })
        {
            Input[] Stored(Input[] all) => [.. all.Select(i => bf16 && i.Shape.Rank == 4 ? i.BF16 : i)];
            Check.Op(d, t => Ops.Conv2d(t[0], t[1], t[2], s.Stride, s.Padding, relu: true), v => Clamped(Forward(v[0], v[1], v[2], s)), Stored(inputs), 3e-5);
            Check.Op(d, t => Ops.ConvTranspose2d(t[0], t[1], t[2], s.Stride, s.Padding, extra, relu: true),
                v => Clamped(Scatter(v[0], v[1], v[2], s.N, s.Ho, s.Wo, s.K, s.R, s.S, s.C, s.Stride, s.Padding, s.H, s.W)), Stored(turned), 3e-5);
        }

        static double[] Clamped(double[] y) => Array.ConvertAll(y, v => Math.Max(v, 0));
    }

    // Tensor cores: channels that are multiples of 8, or three; tiles of each size, ragged; several parts of a sum; every stride in use.
    [Theory, OnEachDevice("2x11x9x24x3x3x72x1x1", "1x9x10x16x5x3x136x3x2", "3x13x8x3x3x3x24x2x1", "1x7x9x5x2x2x80x1x0", "2x21x17x16x3x3x24x1x1", "5x6x5x136x2x2x8x1x0",
        "2x15x14x64x1x1x40x2x0", "1x92x90x8x2x2x72x1x0")]
    public void Tensor_cores_match_in_BF16(string device, int[] q)
    {
        using var d = Devices.Open(device);
        var s = Geometry(q);
        using var step = d.BeginStep();
        var (x, w) = (Input.Normal(new(s.N, s.H, s.W, s.C), 1).BF16.ToTensor(d), Input.Normal(new(s.R, s.S, s.C, s.K), 2).BF16.ToTensor(d));
        var (xd, wd) = (Array.ConvertAll(Ops.Cast(x, DType.F32).ToArray(), v => (double)v), Array.ConvertAll(Ops.Cast(w, DType.F32).ToArray(), v => (double)v));
        var y = Ops.Cast(Ops.Conv2d(x, w, null, s.Stride, s.Padding), DType.F32).Keep();
        Check.Close(Forward(xd, wd, new double[s.K], s), y.ToArray(), 4e-3, "forward"); // half a unit in the last place of BF16, 2⁻⁹
        // Eighths: exact in BF16.
        var g = Array.ConvertAll(Values.Normal((int)y.Count, 5), v => MathF.Round(v * 8) / 8);
        Ops.Sum(Ops.Multiply(y, Tensor.From(d, g, y.Shape))).Backward();
        using var quiet = step.NoGrad();
        var (dx, dw) = Backward(xd, wd, Array.ConvertAll(g, v => (double)v), s);
        Check.Close(dx, Ops.Cast(x.Grad!, DType.F32).ToArray(), 4e-3, "data gradient");
        Check.Close(dw, w.Grad!.ToArray(), 2e-5, "weight gradient"); // sums and result are F32
    }

    [Fact]
    public void Names_the_channels_when_they_do_not_fit()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var e = Assert.Throws<ArgumentException>(() => Ops.Conv2d(Tensor.Zeros(d, new(1, 4, 4, 3)), Tensor.Zeros(d, new(3, 3, 5, 8))));
        Assert.Contains("Conv2d: pictures (1, 4, 4, 3) have 3 channels, filters (3, 3, 5, 8) take 5", e.Message, StringComparison.Ordinal);
    }

    private static ConvShape Geometry(int[] q) => new(
        q[0], q[1], q[2], q[3], q[4], q[5], q[6], q[7], q[8], (q[1] + 2 * q[8] - q[4]) / q[7] + 1, (q[2] + 2 * q[8] - q[5]) / q[7] + 1);

    private static double[] Forward(double[] x, double[] w, double[] b, ConvShape s)
    {
        var y = new double[s.N * s.Ho * s.Wo * s.K];
        Visit(s, (xi, wi, yi) => y[yi] += x[xi] * w[wi]);
        for (var i = 0; i < y.Length; i++) y[i] += b[i % s.K];
        return y;
    }

    private static (double[] Dx, double[] Dw) Backward(double[] x, double[] w, double[] dy, ConvShape s)
    {
        var (dx, dw) = (new double[x.Length], new double[w.Length]);
        Visit(s, (xi, wi, yi) =>
        {
            dx[xi] += dy[yi] * w[wi];
            dw[wi] += dy[yi] * x[xi];
        });
        return (dx, dw);
    }

    private static void Visit(ConvShape s, Action<int, int, int> term)
    {
        for (var n = 0; n < s.N; n++)
            for (var i = 0; i < s.Ho; i++)
                for (var j = 0; j < s.Wo; j++)
                    for (var r = 0; r < s.R; r++)
                        for (var f = 0; f < s.S; f++)
                        {
                            int h = i * s.Stride + r - s.Padding, v = j * s.Stride + f - s.Padding;
                            if (h < 0 || v < 0 || h >= s.H || v >= s.W) continue;
                            for (var c = 0; c < s.C; c++)
                                for (var k = 0; k < s.K; k++)
                                    term(((n * s.H + h) * s.W + v) * s.C + c, ((r * s.S + f) * s.C + c) * s.K + k, ((n * s.Ho + i) * s.Wo + j) * s.K + k);
                        }
    }

    private static double[] Scatter(double[] x, double[] w, double[] b, int n, int hi, int wi, int k, int r, int f, int c, int stride, int padding, int ho, int wo)
    {
        var y = new double[n * ho * wo * c];
        for (var i = 0; i < y.Length; i++) y[i] = b[i % c];
        var s = new ConvShape(n, ho, wo, c, r, f, k, stride, padding, hi, wi);
        Visit(s, (to, weight, from) => y[to] += x[from] * w[weight]);
        return y;
    }
}
