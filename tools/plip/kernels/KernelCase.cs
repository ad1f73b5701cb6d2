using Plip.Engine;

namespace Plip.Tool;

/// <summary>
/// A small call of the engine, forward and backward, that launches some of its kernels. It makes its inputs by number and position alone,
/// so that it gives the same on every device.
/// </summary>
/// <param name="Name">Op and shape.</param>
/// <param name="Op">From its inputs to a result, whose backward is run too where it has one; null where all results are watched.</param>
internal sealed record KernelCase(string Name, Func<CaseInputs, Tensor?> Op)
{
    /// <summary>How activations are stored.</summary>
    public IReadOnlyList<DType> Types { get; init; } = [DType.F32, DType.BF16, DType.F16];

    /// <summary>Factor on the tolerance, for ops that round more than once or differ by themselves between devices.</summary>
    public double Slack { get; init; } = 1;

    /// <summary>The result, the gradient of every input that takes one, and what the case watches.</summary>
    /// <param name="device">Where to run.</param>
    /// <param name="type">How activations are stored. The CPU keeps F16 ones as F32, rounded to F16 where they are made.</param>
    public IReadOnlyList<CaseOutput> Run(Device device, DType type)
    {
        using var step = device.BeginStep();
        using var inputs = new CaseInputs(device, type);
        var outputs = new List<CaseOutput>();
        if (Op(inputs) is { } y)
        {
            outputs.Add(CaseOutput.Of("result", y));
            if (y.NeedsGrad)
            {
                // The last link of the tape hands over a gradient, so that nothing but the op's own kernels is launched.
                var dy = inputs.Gradient(y);
                Tape.Record(Tensor.Zeros(device, new Shape()), [y], _ => [dy], op: "case").Backward();
            }
        }
        foreach (var (name, leaf) in inputs.Leaves)
            if (leaf.Grad is { } gradient) outputs.Add(CaseOutput.Of($"gradient of {name}", gradient));
        foreach (var (name, tensor) in inputs.Watched) outputs.Add(CaseOutput.Of(name, tensor));
        return outputs;
    }

    /// <summary>Runs it on two devices and holds the second against the first.</summary>
    public CaseComparison Compare(Device reference, Device device, DType type)
    {
        var (expected, actual) = (Run(reference, type), Run(device, type));
        var worst = new CaseComparison("", 0, Tolerance(type));
        for (var i = 0; i < expected.Count; i++)
        {
            var error = expected[i].Distance(actual[i]);
            if (!(error <= worst.Error)) worst = worst with { Output = expected[i].Name, Error = error };
        }
        return worst;
    }

    /// <summary>
    /// Largest difference, relative to the largest element: F32 sums of some thousand terms in another order; half a unit of the type a
    /// rounding (2⁻⁹ for BF16, 2⁻¹² for F16), of which forward and backward make a handful.
    /// </summary>
    private double Tolerance(DType type) => Slack * type switch
    {
        DType.BF16 => 1.0 / 64,
        DType.F16 => 1.0 / 512,
        _ => 5e-5,
    };
}

/// <summary>A tensor that a case gave, on the host.</summary>
/// <param name="Name">What it is.</param>
/// <param name="Values">Its elements.</param>
internal sealed record CaseOutput(string Name, double[] Values)
{
    private const double Smallest = 1e-3; // a tensor that is nearly zero everywhere is held to an absolute error

    public static CaseOutput Of(string name, Tensor x) => new(name, x.DType switch
    {
        DType.BF16 => Array.ConvertAll(x.ToArray<ushort>(), v => (double)BitConverter.UInt32BitsToSingle((uint)v << 16)),
        DType.F16 => Array.ConvertAll(x.ToArray<Half>(), v => (double)v),
        DType.I32 => Array.ConvertAll(x.ToArray<int>(), v => (double)v),
        DType.I64 => Array.ConvertAll(x.ToArray<long>(), v => (double)v),
        DType.U8 => Array.ConvertAll(x.ToArray<byte>(), v => (double)v),
        _ => Array.ConvertAll(x.ToArray(), v => (double)v),
    });

    /// <summary>Largest difference over the largest magnitude here; infinite when they are not as many or one is not a number.</summary>
    public double Distance(CaseOutput other)
    {
        if (other.Values.Length != Values.Length) return double.PositiveInfinity;
        double largest = Smallest, worst = 0;
        for (var i = 0; i < Values.Length; i++)
        {
            var (expected, actual) = (Values[i], other.Values[i]);
            if (expected.Equals(actual)) continue; // infinities too
            var difference = Math.Abs(expected - actual);
            if (!double.IsFinite(difference)) return double.PositiveInfinity;
            worst = Math.Max(worst, difference);
        }
        foreach (var v in Values)
            if (double.IsFinite(v)) largest = Math.Max(largest, Math.Abs(v));
        return worst / largest;
    }
}

/// <summary>How far two devices are apart.</summary>
/// <param name="Output">Where they differ most.</param>
/// <param name="Error">By how much, relative to the largest element.</param>
/// <param name="Tolerance">What is allowed.</param>
internal sealed record CaseComparison(string Output, double Error, double Tolerance)
{
    /// <summary>Within the tolerance; a NaN is not.</summary>
    public bool Holds => Error <= Tolerance;
}
