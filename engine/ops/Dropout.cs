using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Dropout.                                                  Srivastava et al., JMLR 15 (2014)
//   forward   y_i = x_i/(1−p) where u_i ≥ p, else 0;  u_i = random.Uniform(i)
//   backward  dx = the same function of dy: the mask is drawn again, not kept
//   saved     nothing
// u_i is a function of the element's number alone, so every device, width and number of threads drops the same elements.
// Cost: 8 bytes an element in F32, 4 in BF16, and ten rounds of Philox for every four elements: about as long as the memory takes.
public static partial class Ops
{
    /// <summary>
    /// Zeroes each element with probability p and scales the others by 1/(1−p). Any shape, F32 or BF16; the result is stored as
    /// x is. With p = 0 it is x itself.
    /// </summary>
    /// <param name="x">The input.</param>
    /// <param name="p">Probability of a zero, in [0, 1).</param>
    /// <param name="random">The stream and step that decide; two dropouts of one step need different streams.</param>
    /// <exception cref="ArgumentException"><paramref name="p"/> is outside [0, 1).</exception>
    public static Tensor Dropout(Tensor x, float p, Philox random)
    {
        Require.That(p is >= 0 and < 1, $"expected a probability in [0, 1), got {p}");
        if (p == 0) return x;
        var y = Tensor.Like(x);
        y.Device.Run(y.DType, cpu: new DropoutKernel(y, x, p, random));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(dx.DType, cpu: new DropoutKernel(dx, dy, p, random));
            return [dx];
        });
    }
}

file readonly unsafe struct DropoutKernel(Tensor y, Tensor x, float p, Philox random) : ICpuKernel
{
    public Work Work => Work.On("dropout", 1, y, x);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* py = y.At<T>(), px = x.At<T>();
        var (probability, source) = (p, random);
        // Grain is a multiple of a run, so a task begins where one does.
        cpu.ForRange(y.Count, CpuDevice.Grain, (from, to) => Drop<V, T>(py, px, from, to, probability, source));
    }

    private static void Drop<V, T>(T* y, T* x, long from, long to, float p, Philox random)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var uniform = stackalloc float[Philox.RunLength];
        var scale = 1f / (1f - p);
        for (var i = from; i < to; i += Philox.RunLength)
        {
            random.Uniforms<V>((ulong)i >> 2, uniform);
            Loop.Run<V, Mask<T>>(new Mask<T>(y + i, x + i, uniform, p, scale), 0, Math.Min(Philox.RunLength, to - i));
        }
    }

    private readonly struct Mask<T>(T* y, T* x, float* uniform, float p, float scale) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> =>
            T.Store(V.Where(V.LessOrEqual(V.Create(p), V.Load(uniform + i)), T.Load<V>(x + i) * V.Create(scale)), y + i);
    }
}
