using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Dropout.                                                  Srivastava et al., JMLR 15 (2014)
//   forward   y_i = x_i/(1−p) where u_i ≥ p, else 0;  u_i = random.Uniform(i)
//   backward  dx_i = dy_i/(1−p) where u_i ≥ p, else 0
//   saved     u_i ≥ p, a bit for each element
// u_i is a function of the element's number alone, so every device, width and number of threads drops the same elements.
// Cost: 8 bytes an element in F32, 4 in BF16, each way; forward ten rounds of Philox for every four elements, which take several
// times as long as the memory. So the mask is kept, not drawn again: an eighth of a byte an element.
public static partial class Ops
{
    /// <summary>
    /// Zeroes each element with probability p and scales the others by 1/(1−p). Any shape, F32 or BF16; the result is stored as
    /// x is. With p = 0 it is x itself.
    /// </summary>
    /// <param name="x">The input.</param>
    /// <param name="p">Probability of a zero, in [0, 1).</param>
    /// <param name="random">The stream and step that decide; two dropouts of one step need different streams.</param>
    /// <param name="step">
    /// I32 (1): the step, in the place of the one in <paramref name="random"/>. A captured graph is replayed with whatever it then holds.
    /// </param>
    /// <exception cref="ArgumentException"><paramref name="p"/> is outside [0, 1), or the step is not one I32.</exception>
    public static Tensor Dropout(Tensor x, float p, Philox random, Tensor? step = null)
    {
        Require.That(p is >= 0 and < 1, $"expected a probability in [0, 1), got {p}");
        if (step != null) Require.That(step.DType == DType.I32 && step.Count == 1, $"expected the step as one I32, got {step}");
        if (p == 0) return x;
        var y = Tensor.Like(x);
        var kept = Tensor.Empty(x.Device, new Shape(checked((int)((x.Count + Philox.RunLength - 1) / Philox.RunLength))), DType.I32);
        y.Device.Run(y.DType, new DropoutForward(y, kept, x, p, random, step));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(dx.DType, new DropoutBackward(dx, dy, kept, p));
            return [dx];
        }, [kept]);
    }
}

file readonly unsafe struct DropoutForward(Tensor y, Tensor kept, Tensor x, float p, Philox random, Tensor? step) : IKernel
{
    public Work Work => Work.On("dropout_forward", 1, y, kept, x);

    public void Run(CudaDevice gpu, DType type) => gpu.Launch(
        "dropout", "dropout_forward", [("TYPE", type), ("PACK", Pack.Of(type, x, y))], Launch.PerElement(x.Count, 8),
        y, kept, x, step, x.Count, p, 1f / (1f - p), (long)random.Key.Seed, (int)random.Key.Stream, (int)random.Key.Step);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* px = x.At<T>();
        var pk = (uint*)kept.I32;
        var (to, probability, source) = (Target<T>.Of(y), p, step == null ? random : new Philox(random.Key.Seed, random.Key.Stream, (uint)*step.I32));
        // Grain is a multiple of a run, so a task begins where one does.
        cpu.ForRange(y.Count, CpuDevice.Grain, (from, end) => Drop<V, T>(to, pk, px, from, end, probability, source));
    }

    // Numbers are drawn some way ahead of their use: a run at a time takes a twentieth longer.
    [SkipLocalsInit]
    private static void Drop<V, T>(Target<T> y, uint* kept, T* x, long from, long to, float p, Philox random)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        const int Ahead = 16 * Philox.RunLength;
        var uniform = stackalloc float[Ahead];
        for (var i = from; i < to; i += Ahead)
        {
            var count = (int)Math.Min(Ahead, to - i);
            for (var k = 0; k < count; k += Philox.RunLength) random.Uniforms<V>((ulong)(i + k) >> 2, uniform + k);
            Mask<V, T>(y + (nint)i, kept + i / Philox.RunLength, x + i, uniform, count, p);
        }
    }

    private static void Mask<V, T>(Target<T> y, uint* kept, T* x, float* uniform, int count, float p)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var i = 0;
        for (; i <= count - Philox.RunLength; i += Philox.RunLength)
        {
            var bits = 0u;
            for (var k = 0; k < Philox.RunLength; k += V.Count) bits |= Some<V, T>(y, x, uniform, i + k, p) << k;
            kept[i / Philox.RunLength] = bits;
        }
        if (i == count) return;
        kept[i / Philox.RunLength] = 0;
        for (var k = 0; i + k < count; k++) kept[i / Philox.RunLength] |= Some<Vec1, T>(y, x, uniform, i + k, p) << k;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Some<V, T>(Target<T> y, T* x, float* uniform, int i, float p)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var mask = V.LessOrEqual(V.Create(p), V.Load(uniform + i));
        y.Store(V.Where(mask, T.Load<V>(x + i) * V.Create(1f / (1f - p))), i);
        return V.Bits(mask);
    }
}

file readonly unsafe struct DropoutBackward(Tensor dx, Tensor dy, Tensor kept, float p) : IKernel
{
    public Work Work => Work.On("dropout_backward", 1, dx, dy, kept);

    public void Run(CudaDevice gpu, DType type) => gpu.Launch(
        "dropout", "dropout_backward", [("TYPE", type), ("PACK", Pack.Of(type, dx, dy))], Launch.PerElement(dx.Count, 8),
        dx, dy, kept, dx.Count, 1f / (1f - p));

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => cpu.Loop<V, Body<T>>(dx.Count, new(Target<T>.Of(dx), dy.At<T>(), (uint*)kept.I32, 1f / (1f - p)));

    private readonly struct Body<T>(Target<T> dx, T* dy, uint* kept, float scale) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            var bits = kept[i / Philox.RunLength] >> (int)(i % Philox.RunLength);
            dx.Store(V.Where(V.Mask(bits), T.Load<V>(dy + i) * V.Create(scale)), i);
        }
    }
}
