using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Plip.Engine;

// Functions of one element.
//   Gelu     y = x·Φ(x), Φ(x) = ½(1 + erf(x/√2))    dx = dy·(Φ(x) + x·φ(x))      saved x       (the erf form, as in BERT)
//   Relu     y = max(x, 0)                          dx = dy where y > 0           saved y
//   Sigmoid  y = 1/(1 + e⁻ˣ)                        dx = dy·y·(1 − y)             saved y
//   Tanh     y = tanh x                             dx = dy·(1 − y²)              saved y
// Cost: one pass, 8 bytes an element forward and 12 backward; Gelu's exp and division make it bound by arithmetic.
// An element gets the same bits wherever it lies: the last, short vector goes through the same code.
public static partial class Ops
{
    /// <summary>x·Φ(x) with the exact Φ (error below 1e-6), not its tanh approximation. Any shape, F32. Hendrycks and Gimpel, arXiv:1606.08415.</summary>
    public static Tensor Gelu(Tensor x) => Activation.Apply<GeluFunction>(x);

    /// <summary>max(x, 0); the gradient at 0 is 0. Any shape, F32.</summary>
    public static Tensor Relu(Tensor x) => Activation.Apply<ReluFunction>(x);

    /// <summary>1/(1 + e⁻ˣ). Any shape, F32.</summary>
    public static Tensor Sigmoid(Tensor x) => Activation.Apply<SigmoidFunction>(x);

    /// <summary>tanh x. Any shape, F32.</summary>
    public static Tensor Tanh(Tensor x) => Activation.Apply<TanhFunction>(x);
}

/// <summary>A function of one element and the factor its gradient gets, 16 at a time.</summary>
file interface IActivation
{
    /// <summary>Whether <see cref="Slope"/> is a function of y rather than of x.</summary>
    static abstract bool SavesOutput { get; }

    static abstract Vector512<float> Value(Vector512<float> x);

    static abstract Vector512<float> Slope(Vector512<float> saved);
}

file readonly struct GeluFunction : IActivation
{
    public static bool SavesOutput => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Value(Vector512<float> x) => x * Simd.NormalCdf(x, out _);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Slope(Vector512<float> x)
    {
        var cdf = Simd.NormalCdf(x, out var bell);
        return Vector512.FusedMultiplyAdd(x * 0.39894228f, bell, cdf); // φ(x) = e^(−x²/2)/√(2π)
    }
}

file readonly struct ReluFunction : IActivation
{
    public static bool SavesOutput => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Value(Vector512<float> x) => Vector512.Max(x, Vector512<float>.Zero);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Slope(Vector512<float> y) =>
        Vector512.ConditionalSelect(Vector512.GreaterThan(y, Vector512<float>.Zero), Vector512<float>.One, Vector512<float>.Zero);
}

file readonly struct SigmoidFunction : IActivation
{
    public static bool SavesOutput => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Value(Vector512<float> x) => Vector512<float>.One / (Vector512<float>.One + Simd.Exp(-x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Slope(Vector512<float> y) => y * (Vector512<float>.One - y);
}

file readonly struct TanhFunction : IActivation
{
    public static bool SavesOutput => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Value(Vector512<float> x) => Simd.Tanh(x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Slope(Vector512<float> y) => Vector512.FusedMultiplyAdd(-y, y, Vector512<float>.One);
}

file static unsafe class Activation
{
    public static Tensor Apply<TFunction>(Tensor x, [CallerMemberName] string op = "") where TFunction : struct, IActivation
    {
        var y = Tensor.Like(x, op);
        y.Device.Run(cpu: cpu => Forward<TFunction>(cpu, y, x));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x, op);
            dx.Device.Run(cpu: cpu => Backward<TFunction>(cpu, dx, dy, TFunction.SavesOutput ? y : x));
            return [dx];
        }, null, op);
    }

    private static void Forward<TFunction>(CpuDevice cpu, Tensor y, Tensor x) where TFunction : struct, IActivation
    {
        float* py = y.F32, px = x.F32;
        cpu.ForRange(y.Count, CpuDevice.Grain, (from, to) =>
        {
            var i = from;
            for (; i <= to - 16; i += 16) TFunction.Value(Vector512.Load(px + i)).Store(py + i);
            if (i < to) StorePart(TFunction.Value(Vector512.Load(px + i)), py + i, (int)(to - i));
        });
    }

    private static void Backward<TFunction>(CpuDevice cpu, Tensor dx, Tensor dy, Tensor saved) where TFunction : struct, IActivation
    {
        float* pdx = dx.F32, pdy = dy.F32, ps = saved.F32;
        cpu.ForRange(dx.Count, CpuDevice.Grain, (from, to) =>
        {
            var i = from;
            for (; i <= to - 16; i += 16) (Vector512.Load(pdy + i) * TFunction.Slope(Vector512.Load(ps + i))).Store(pdx + i);
            if (i < to) StorePart(Vector512.Load(pdy + i) * TFunction.Slope(Vector512.Load(ps + i)), pdx + i, (int)(to - i));
        });
    }

    // Loads may run past the end (blocks have slack for a vector); stores may not.
    private static void StorePart(Vector512<float> v, float* to, int count)
    {
        for (var i = 0; i < count; i++) to[i] = v[i];
    }
}
