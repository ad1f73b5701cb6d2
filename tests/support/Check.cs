using Plip.Engine;
using Xunit;

namespace Plip.Tests;

/// <summary>
/// Holds an op against an independent float64 formula: its values, and its gradients against central differences of
/// that formula, so neither the op's forward nor its backward can vouch for itself.
/// </summary>
public static class Check
{
    /// <summary>A rounding to BF16 errs by 2⁻⁹ of the value; an op may round twice and what it rounds may exceed its result.</summary>
    public const double BF16Tolerance = 1.0 / 128;

    /// <summary>What rounding to a type leaves: <see cref="BF16Tolerance"/>, an eighth of it for F16, which has three bits more.</summary>
    public static double Tolerance(DType type) => type switch { DType.BF16 => BF16Tolerance, DType.F16 => BF16Tolerance / 8, _ => 0 };

    /// <summary>Forward and every gradient of <paramref name="op"/> against <paramref name="oracle"/>.</summary>
    /// <param name="device">Where to run.</param>
    /// <param name="op">The op under test, from its inputs to one output of any shape.</param>
    /// <param name="oracle">The same in float64 on flat arrays, written from the formula.</param>
    /// <param name="inputs">Values and shapes; <see cref="Input.Fixed"/> ones get no gradient.</param>
    /// <param name="tolerance">
    /// Largest |difference| relative to max(1, largest magnitude): 2e-5 leaves room for F32 sums of some thousand terms.
    /// </param>
    public static void Op(Device device, Func<Tensor[], Tensor> op, Func<double[][], double[]> oracle, Input[] inputs, double tolerance = 2e-5)
    {
        using var step = device.BeginStep();
        var tensors = inputs.Select(i => i.ToTensor(device)).ToArray();
        // What BF16 or F16 keeps of the inputs is what the formula is given.
        var wide = tensors.Select(t => Array.ConvertAll(Ops.Cast(t, DType.F32).ToArray(), v => (double)v)).ToArray();
        var expected = oracle(wide);
        var stored = op(tensors);
        tolerance = Math.Max(tolerance, Tolerance(stored.DType));
        var y = Ops.Cast(stored, DType.F32).Keep();
        Close(expected, y.ToArray(), tolerance, "forward");

        if (!tensors.Any(t => t.NeedsGrad)) return;
        // Eighths: exact in BF16 and F16, so that rounding the incoming gradient plays no part.
        var weights = Array.ConvertAll(Values.Normal(expected.Length, 991), v => MathF.Round(v * 8) / 8);
        var w = Tensor.From(device, weights, y.Shape);
        Ops.Sum(Ops.Multiply(y, w)).Backward();
        for (var k = 0; k < inputs.Length; k++)
        {
            if (!inputs[k].Grad) continue;
            var numeric = Differences(oracle, wide, k, weights);
            var grad = tensors[k].Grad ?? throw new InvalidOperationException($"input {k} got no gradient");
            Assert.Equal(tensors[k].Shape, grad.Shape);
            Close(numeric, Ops.Cast(grad, DType.F32).ToArray(), tolerance * 5, $"gradient of input {k}");
        }
    }

    /// <summary>
    /// The message with which an op refuses a number: the CPU throws it in the op, a GPU at the next wait (<see cref="CudaFaults"/>).
    /// </summary>
    public static string Refusal(Device device, Func<Tensor> op) => Assert.Throws<ArgumentException>(() =>
    {
        op();
        if (device is CudaDevice gpu) gpu.Synchronize();
        else Assert.Fail("the op took it");
    }).Message;

    /// <summary>Every element within tolerance·max(1, largest expected magnitude).</summary>
    public static void Close(ReadOnlySpan<double> expected, ReadOnlySpan<float> actual, double tolerance, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        double scale = 1;
        foreach (var e in expected) scale = Math.Max(scale, Math.Abs(e));
        for (var i = 0; i < expected.Length; i++)
        {
            // NaN fails too: the comparison is written so that only a small difference passes.
            if (!(Math.Abs(expected[i] - actual[i]) <= tolerance * scale))
                Assert.Fail($"{what}: element {i} is {actual[i]:R}, expected {expected[i]:R} (tolerance {tolerance * scale:g3})");
        }
    }

    private static double[] Differences(Func<double[][], double[]> oracle, double[][] inputs, int k, float[] weights)
    {
        const double h = 1e-5; // error h² ≈ 1e-10 from truncation, 1e-16/h ≈ 1e-11 from rounding
        var x = inputs[k];
        var grad = new double[x.Length];
        for (var i = 0; i < x.Length; i++)
        {
            var keep = x[i];
            x[i] = keep + h;
            var up = oracle(inputs);
            x[i] = keep - h;
            var down = oracle(inputs);
            x[i] = keep;
            double sum = 0;
            for (var j = 0; j < up.Length; j++) sum += weights[j] * (up[j] - down[j]);
            grad[i] = sum / (2 * h);
        }
        return grad;
    }
}

/// <summary>An input of <see cref="Check.Op"/>.</summary>
public sealed record Input(float[] Values, Shape Shape, bool Grad = true, DType Type = DType.F32)
{
    /// <summary>Standard normal values, reproducible by seed.</summary>
    public static Input Normal(Shape shape, uint seed = 1, float scale = 1, float shift = 0) =>
        new(Array.ConvertAll(Tests.Values.Normal((int)shape.Count, seed), v => v * scale + shift), shape);

    /// <summary>The same input without a gradient.</summary>
    public Input Fixed => this with { Grad = false };

    /// <summary>The same input stored as BF16.</summary>
    public Input BF16 => As(DType.BF16);

    /// <summary>The same input stored as F32, BF16 and F16.</summary>
    public Input[] InEachType => [this, BF16, As(DType.F16)];

    /// <summary>The same input stored as another type.</summary>
    public Input As(DType type) => this with { Type = type };

    public Tensor ToTensor(Device device)
    {
        var t = Ops.Cast(Tensor.From(device, Values, Shape), Type);
        return Grad ? t.WithGrad() : t;
    }
}

/// <summary>Reproducible test values.</summary>
public static class Values
{
    public static float[] Normal(int count, uint seed)
    {
        var random = new Philox(20240917, seed);
        var v = new float[count];
        for (var i = 0; i < count; i++) v[i] = random.Normal((ulong)i);
        return v;
    }
}
