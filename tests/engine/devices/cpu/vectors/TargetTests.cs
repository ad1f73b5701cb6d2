using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>Results that are large enough to go past the caches have the bits of small ones.</summary>
public class TargetTests
{
    private const int Rows = 4200, Cols = 1024, Few = 40; // 17 MB of F32

    [Theory, OnEachDevice(CpuOnly = true)]
    public void Large_results_are_those_of_their_rows(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep(recordGradients: false);
        foreach (var bf16 in new[] { false, true })
        {
            var rows = bf16 ? 2 * Rows : Rows;
            var values = new float[rows * Cols];
            for (var i = 0; i < values.Length; i++) values[i] = i * 7919 % 1999 * 0.01f - 10;
            var (x, s) = (Made(values, new(1, 1, rows, Cols)), Made(values[..Cols], new(1, Cols)));
            var tail = values[^(Few * Cols)..];
            var few = Made(tail, new(1, 1, Few, Cols));
            Same(Ops.Add(x, x), Ops.Add(few, few));
            Same(Ops.Gelu(x), Ops.Gelu(few));
            Same(Ops.ScaleChannels(x, s), Ops.ScaleChannels(few, s));
            Same(Ops.Concat([x, x], 3), Ops.Concat([few, few], 3));

            Tensor Made(float[] v, Shape shape) => bf16 ? Ops.Cast(Tensor.From(d, v, shape), DType.BF16) : Tensor.From(d, v, shape);
        }
    }

    [Theory, OnEachDevice(CpuOnly = true)]
    public void Large_gradients_are_those_of_their_rows(string device)
    {
        using var d = Devices.Open(device);
        float[] Gradient(int rows)
        {
            using var step = d.BeginStep();
            var values = new float[rows * Cols];
            for (var i = 0; i < values.Length; i++) values[i] = i * 7919 % 1999 * 0.01f - 10;
            var x = Tensor.From(d, values, new(rows / 8, 4, 2, Cols)).WithGrad();
            var joined = Ops.Concat([Ops.MaxPool2d(x, 2), Ops.MaxPool2d(Ops.Relu(x), 2)], 3);
            Ops.Sum(Ops.Multiply(joined, joined)).Backward();
            return x.Grad!.ToArray();
        }

        var (large, few) = (Gradient(Rows), Gradient(Few));
        Assert.True(large.AsSpan(0, few.Length).SequenceEqual(few));
    }

    private static void Same(Tensor large, Tensor few)
    {
        var (a, b) = (Values(large), Values(few));
        Assert.True(a.AsSpan(a.Length - b.Length).SequenceEqual(b));

        static float[] Values(Tensor x) => (x.DType == DType.F32 ? x : Ops.Cast(x, DType.F32)).ToArray();
    }
}
