using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class ElementwiseTests
{
    [Theory, OnEachDevice("1", "7", "16", "5x33", "3x16411")]
    public void Add_matches(string device, int[] shape) => Matches(device, shape, Ops.Add, (a, b) => a + b);

    [Theory, OnEachDevice("1", "7", "16", "5x33")]
    public void Subtract_matches(string device, int[] shape) => Matches(device, shape, Ops.Subtract, (a, b) => a - b);

    [Theory, OnEachDevice("1", "7", "16", "5x33")]
    public void Multiply_matches(string device, int[] shape) => Matches(device, shape, Ops.Multiply, (a, b) => a * b);

    [Theory, OnEachDevice("1", "7", "16", "5x33")]
    public void Affine_matches(string device, int[] shape) =>
        Matches(device, shape, (a, b) => Ops.Add(Ops.Affine(a, -2.5f, 0.75f), Ops.Affine(b, 0.5f)), (a, b) => -2.5 * a + 0.75 + 0.5 * b);

    [Fact]
    public void Full_is_one_value_everywhere()
    {
        using var d = new CpuDevice(2);
        using var step = d.BeginStep();
        Assert.All(Ops.Full(d, new(3, 7001), 0.1f).ToArray(), v => Assert.Equal(0.1f, v));
    }

    [Fact]
    public void WeightedSum_is_the_total_of_scalars()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var (a, b) = (Tensor.From(d, [3f], new()).WithGrad(), Tensor.From(d, [-2f], new()).WithGrad());
        var y = Ops.WeightedSum([(a, 0.5f), (b, 4f)]).Keep();
        y.Backward();
        Assert.Equal(-6.5f, y.Item());
        Assert.Equal((0.5f, 4f), (a.Grad!.Item(), b.Grad!.Item()));
        Assert.Throws<ArgumentException>(() => Ops.WeightedSum([]));
        Assert.Throws<ArgumentException>(() => Ops.WeightedSum([(Tensor.Zeros(d, new(2)), 1f)]));
    }

    /// <summary>A BF16 gradient adds to an F32 sum without the sum being rounded: 1 + 2⁻²⁰ is no BF16 number.</summary>
    [Theory, OnEachDevice("5", "40", "16411")]
    public void A_BF16_gradient_adds_to_an_F32_sum(string device, int[] size)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var sum = Ops.Full(d, new(size), 1f);
        Ops.AddInto(sum, Ops.Cast(Ops.Full(d, new(size), 1f / (1 << 20)), DType.BF16));
        Assert.All(sum.ToArray(), v => Assert.Equal(1f + 1f / (1 << 20), v));
        Assert.Throws<InvalidOperationException>(() => Ops.AddInto(Ops.Cast(sum, DType.BF16), sum));
    }

    [Fact]
    public void Shapes_and_types_must_agree()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var x = Tensor.Zeros(d, new(2, 3));
        Assert.Equal("Add: expected equal shapes, got (2, 3) and (3, 2)",
            Assert.Throws<ArgumentException>(() => Ops.Add(x, Tensor.Zeros(d, new(3, 2)))).Message);
        Assert.Contains("convert with Ops.Cast", Assert.Throws<InvalidOperationException>(
            () => Ops.Add(x, Ops.Cast(x, DType.BF16))).Message, StringComparison.Ordinal);
    }

    private static void Matches(string device, int[] shape, Func<Tensor, Tensor, Tensor> op, Func<double, double, double> formula)
    {
        using var d = Devices.Open(device);
        foreach (var type in (DType[])[DType.F32, DType.BF16, DType.F16])
        {
            var wide = new Shape(shape).Count > 1000; // differences of so many elements would take their square: values alone
            Input a = Input.Normal(new(shape), 1) with { Grad = !wide, Type = type }, b = Input.Normal(new(shape), 2) with { Grad = !wide, Type = type };
            Check.Op(d, t => op(t[0], t[1]), x => [.. x[0].Zip(x[1], formula)], [a, b], 1e-6);
        }
    }
}
