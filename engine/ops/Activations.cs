using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Functions of one element.
//   Gelu     y = x·Φ(x), Φ(x) = ½(1 + erf(x/√2))    dx = dy·(Φ(x) + x·φ(x))      saved x       (the erf form, as in BERT)
//   Relu     y = max(x, 0)                          dx = dy where y > 0           saved y
//   Sigmoid  y = 1/(1 + e⁻ˣ)                        dx = dy·y·(1 − y)             saved y
//   Tanh     y = tanh x                             dx = dy·(1 − y²)              saved y
// Cost: one pass, 8 bytes an element forward and 12 backward in F32, half in BF16; Gelu's polynomial takes about as long as
// one core's memory. An element gets the same bits wherever it lies: the tail goes through the same code, lane by lane.
public static partial class Ops
{
    /// <summary>
    /// x·Φ(x) with the exact Φ (error below 1e-6), not its tanh approximation. Any shape, F32 or BF16; the result is stored as
    /// x is. Hendrycks and Gimpel, arXiv:1606.08415.
    /// </summary>
    public static Tensor Gelu(Tensor x) => Activation.Apply<GeluFunction>(x);

    /// <summary>max(x, 0); the gradient at 0 is 0. Any shape, F32 or BF16; the result is stored as x is.</summary>
    public static Tensor Relu(Tensor x) => Activation.Apply<ReluFunction>(x);

    /// <summary>dy where y is above 0: for ops that end with a relu of their own.</summary>
    internal static Tensor ReluGradient(Tensor dy, Tensor y)
    {
        var dz = Tensor.Like(y, nameof(Relu));
        dz.Device.Run(dz.DType, new ActivationBackward<ReluFunction>(dz, dy, y));
        return dz;
    }

    /// <summary>1/(1 + e⁻ˣ). Any shape, F32 or BF16; the result is stored as x is.</summary>
    public static Tensor Sigmoid(Tensor x) => Activation.Apply<SigmoidFunction>(x);

    /// <summary>tanh x. Any shape, F32 or BF16; the result is stored as x is.</summary>
    public static Tensor Tanh(Tensor x) => Activation.Apply<TanhFunction>(x);
}

/// <summary>A function of one element and the factor its gradient gets, as many at a time as a vector holds.</summary>
file interface IActivation
{
    static abstract string Name { get; }

    /// <summary>Operations of <see cref="Value"/> and of <see cref="Slope"/>, an element.</summary>
    static abstract (double Value, double Slope) Flops { get; }

    /// <summary>Whether <see cref="Slope"/> is a function of y rather than of x.</summary>
    static abstract bool SavesOutput { get; }

    static abstract V Value<V>(V x) where V : struct, IVector<V>;

    static abstract V Slope<V>(V saved) where V : struct, IVector<V>;
}

file readonly struct GeluFunction : IActivation
{
    public static string Name => "gelu";

    public static (double Value, double Slope) Flops => (38, 42);

    public static bool SavesOutput => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Value<V>(V x) where V : struct, IVector<V> => x * VectorMath.NormalCdf(x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Slope<V>(V x) where V : struct, IVector<V> => VectorMath.GeluSlope(x);
}

file readonly struct ReluFunction : IActivation
{
    public static string Name => "relu";

    public static (double Value, double Slope) Flops => (1, 1);

    public static bool SavesOutput => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Value<V>(V x) where V : struct, IVector<V> => V.MaxOr(default, x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Slope<V>(V y) where V : struct, IVector<V> => V.Where(V.Less(default, y), V.Create(1f));
}

file readonly struct SigmoidFunction : IActivation
{
    public static string Name => "sigmoid";

    public static (double Value, double Slope) Flops => (27, 2);

    public static bool SavesOutput => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Value<V>(V x) where V : struct, IVector<V> => V.Create(1f) / (V.Create(1f) + VectorMath.Exp(-x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Slope<V>(V y) where V : struct, IVector<V> => y * (V.Create(1f) - y);
}

file readonly struct TanhFunction : IActivation
{
    public static string Name => "tanh";

    public static (double Value, double Slope) Flops => (44, 2);

    public static bool SavesOutput => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Value<V>(V x) where V : struct, IVector<V> => VectorMath.Tanh(x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Slope<V>(V y) where V : struct, IVector<V> => V.Fma(-y, y, V.Create(1f));
}

file static class Activation
{
    public static Tensor Apply<TFunction>(Tensor x, [CallerMemberName] string op = "") where TFunction : struct, IActivation
    {
        var y = Tensor.Like(x, op);
        y.Device.Run(y.DType, new ActivationForward<TFunction>(y, x));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x, op);
            dx.Device.Run(dx.DType, new ActivationBackward<TFunction>(dx, dy, TFunction.SavesOutput ? y : x));
            return [dx];
        }, null, op);
    }
}

file readonly unsafe struct ActivationForward<TFunction>(Tensor y, Tensor x) : IKernel where TFunction : struct, IActivation
{
    public Work Work => Work.On(TFunction.Name + "_forward", TFunction.Flops.Value, y, x);

    public void Run(CudaDevice gpu, DType type)
    {
        var pack = Pack.Of(type, y, x);
        gpu.Launch("activations", "activation_forward", [("TYPE", type), ("PACK", pack), ("FUNCTION", TFunction.Name)], Launch.PerElement(y.Count, pack), y, x, y.Count);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => cpu.Loop<V, Body<T>>(y.Count, new(Target<T>.Of(y), x.At<T>()));

    private readonly struct Body<T>(Target<T> y, T* x) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => y.Store(TFunction.Value(T.Load<V>(x + i)), i);
    }
}

file readonly unsafe struct ActivationBackward<TFunction>(Tensor dx, Tensor dy, Tensor saved) : IKernel where TFunction : struct, IActivation
{
    public Work Work => Work.On(TFunction.Name + "_backward", TFunction.Flops.Slope + 1, dx, dy, saved);

    public void Run(CudaDevice gpu, DType type)
    {
        var pack = Pack.Of(type, dx, dy, saved);
        gpu.Launch(
            "activations", "activation_backward", [("TYPE", type), ("PACK", pack), ("FUNCTION", TFunction.Name)], Launch.PerElement(dx.Count, pack), dx, dy, saved, dx.Count);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => cpu.Loop<V, Body<T>>(dx.Count, new(Target<T>.Of(dx), dy.At<T>(), saved.At<T>()));

    private readonly struct Body<T>(Target<T> dx, T* dy, T* saved) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> =>
            dx.Store(T.Load<V>(dy + i) * TFunction.Slope(T.Load<V>(saved + i)), i);
    }
}
