using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class LinearTests
{
    [Theory, OnEachDevice("5x7x3", "33x20x18", In16Bits = true)]
    public void Matches_in_16_bits(string device, int[] s, DType type)
    {
        using var d = Devices.Open(device);
        var (rows, nIn, nOut) = (s[0], s[1], s[2]);
        Check.Op(d, t => Ops.Linear(t[0], t[1], t[2]),
            v =>
            {
                var y = MatMulTests.Product(v[0], v[1], 1, rows, nOut, nIn, false, true);
                for (var i = 0; i < y.Length; i++) y[i] += v[2][i % nOut];
                return y;
            },
            [Input.Normal(new(rows, nIn), 1).As(type), Input.Normal(new(nOut, nIn), 2).As(type), Input.Normal(new(nOut), 3)]);
    }

    [Theory, OnEachDevice("1x1x1", "5x7x3", "300x20x9", "33x64x48")]
    public void Matches(string device, int[] s)
    {
        using var d = Devices.Open(device);
        var (rows, nIn, nOut) = (s[0], s[1], s[2]);
        var x = Input.Normal(new(rows, nIn), 1);
        if (rows * nIn > 3000) x = x.Fixed;
        Check.Op(d, t => Ops.Linear(t[0], t[1], t[2]),
            v =>
            {
                var y = MatMulTests.Product(v[0], v[1], 1, rows, nOut, nIn, false, true);
                for (var i = 0; i < y.Length; i++) y[i] += v[2][i % nOut];
                return y;
            },
            [x, rows * nIn > 1500 ? Input.Normal(new(nOut, nIn), 2).Fixed : Input.Normal(new(nOut, nIn), 2), Input.Normal(new(nOut), 3)], 5e-5);
    }

    // A gradient of every weight by differences, so all is small; MatMulTests and GemmTests have the large shapes.
    [Theory, OnEachDevice("1x1x1", "5x7x3", "17x5x33", "40x3x20")]
    public void Gelu_matches(string device, int[] s)
    {
        using var d = Devices.Open(device);
        var (rows, nIn, nOut) = (s[0], s[1], s[2]);
        Input x = Input.Normal(new(rows, nIn), 1), w = Input.Normal(new(nOut, nIn), 2), b = Input.Normal(new(nOut), 3);
        Check.Op(d, t => Ops.LinearGelu(t[0], t[1], t[2]), v => Gelu(v, rows, nIn, nOut), [x, w, b]);
        Check.Op(d, t => Ops.LinearGelu(t[0], t[1]), v => Gelu(v, rows, nIn, nOut), [x, w]);
        Check.Op(d, t => Ops.LinearGelu(t[0], t[1], t[2]), v => Gelu(v, rows, nIn, nOut), [x.Fixed, w, b.Fixed]);
        Check.Op(d, t => Ops.LinearGelu(t[0], t[1], t[2]), v => Gelu(v, rows, nIn, nOut), [x, w.Fixed, b.Fixed]);
        Check.Op(d, t => Ops.LinearGelu(t[0], t[1], t[2]), v => Gelu(v, rows, nIn, nOut), [x.Fixed, w.Fixed, b.Fixed]);
    }

    [Theory, OnEachDevice("5x7x3", "17x5x33", In16Bits = true)]
    public void Gelu_matches_in_16_bits(string device, int[] s, DType type)
    {
        using var d = Devices.Open(device);
        var (rows, nIn, nOut) = (s[0], s[1], s[2]);
        Check.Op(d, t => Ops.LinearGelu(t[0], t[1], t[2]), v => Gelu(v, rows, nIn, nOut),
            [Input.Normal(new(rows, nIn), 1).As(type), Input.Normal(new(nOut, nIn), 2).As(type), Input.Normal(new(nOut), 3)]);
    }

    /// <summary>The same bits as the two ops, forward and backward, but for db: its sum is cut elsewhere, and of what is not rounded yet.</summary>
    [Theory, OnEachDevice("41x800x170", "530x40x20")]
    public void Gelu_is_Gelu_of_Linear(string device, int[] s)
    {
        using var d = Devices.Open(device);
        foreach (var type in (DType[])[DType.F32, DType.BF16])
        {
            var one = Run(d, s, type, (x, w, b) => Ops.LinearGelu(x, w, b));
            var two = Run(d, s, type, (x, w, b) => Ops.Gelu(Ops.Linear(x, w, b)));
            for (var i = 0; i < 3; i++) Assert.Equal(two[i], one[i]);
            Check.Close(Array.ConvertAll(two[3], v => (double)v), one[3], type == DType.BF16 ? Check.BF16Tolerance : 2e-5, "gradient of the bias");
        }
    }

    [Fact]
    public void Gelu_keeps_nothing_where_no_gradient_is_needed()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        Tensor x = Tensor.From(d, [0f, 1f, -1f], new(3, 1)), w = Tensor.From(d, [1f], new(1, 1));
        w.NeedsGrad = true;
        using (step.NoGrad()) Assert.False(Ops.LinearGelu(x, w).NeedsGrad);
        Assert.Equal(0, step.Tape.Count);
        Assert.True(Ops.LinearGelu(x, w).NeedsGrad);
        Assert.Equal(1, step.Tape.Count);
    }

    [Fact]
    public void Names_the_op_and_both_shapes_when_they_do_not_fit()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        Tensor x = Tensor.Zeros(d, new(2, 3)), w = Tensor.Zeros(d, new(4, 5));
        var e = Assert.Throws<ArgumentException>(() => Ops.LinearGelu(x, w));
        Assert.Contains("LinearGelu: expected rows of 5 for weight (4, 5), got (2, 3)", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<ArgumentException>(() => Ops.Linear(x, w));
        Assert.Contains("Linear: expected rows of 5 for weight (4, 5), got (2, 3)", e.Message, StringComparison.Ordinal);
    }

    /// <summary>The result, and the gradients of x, the weight and the bias.</summary>
    private static float[][] Run(Device d, int[] s, DType type, Func<Tensor, Tensor, Tensor, Tensor> op)
    {
        using var step = d.BeginStep();
        Tensor x = Input.Normal(new(s[0], s[1]), 1).ToTensor(d), w = Input.Normal(new(s[2], s[1]), 2).ToTensor(d), b = Input.Normal(new(s[2]), 3).ToTensor(d);
        var y = Ops.Cast(op(Ops.Cast(x, type), Ops.Cast(w, type), b), DType.F32).Keep();
        Ops.Sum(Ops.Multiply(y, Tensor.From(d, Values.Normal(s[0] * s[2], 5), y.Shape))).Backward();
        return [y.ToArray(), x.Grad!.ToArray(), w.Grad!.ToArray(), b.Grad!.ToArray()];
    }

    private static double[] Gelu(double[][] v, int rows, int nIn, int nOut)
    {
        var y = MatMulTests.Product(v[0], v[1], 1, rows, nOut, nIn, false, true);
        for (var i = 0; i < y.Length; i++) y[i] = ActivationsTests.Gelu(y[i] + (v.Length > 2 ? v[2][i % nOut] : 0));
        return y;
    }
}
