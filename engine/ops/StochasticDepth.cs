using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Stochastic depth: a residual branch that is left out of some pictures.        Huang et al., arXiv:1603.09382
//   forward   y_n = x_n + m_n·a_n,  m_n = 1/(1−p) where u_n ≥ p, else 0;  u_n = random.Uniform(n)
//   backward  dx = dy,  da_n = m_n·dy_n
//   saved     nothing: the numbers are drawn again
// Cost: 12 bytes an element in F32, 8 where the branch is left out, as the sum alone would; 8 backward.
public static partial class Ops
{
    /// <summary>
    /// x + a, with a left out of each picture at probability p and scaled by 1/(1−p) where it stays: x, a (N, …) of one shape, F32, BF16 or
    /// F16 → the same. With p = 0 it is <see cref="Add"/>.
    /// </summary>
    /// <param name="x">What goes on in any case.</param>
    /// <param name="a">The branch.</param>
    /// <param name="p">Probability that a picture goes without, in [0, 1).</param>
    /// <param name="random">The stream and step that decide; element n decides for picture n.</param>
    /// <param name="step">I32 (1): the step, in the place of the one in <paramref name="random"/>, as for <see cref="Dropout"/>.</param>
    /// <exception cref="ArgumentException">Shapes differ, p is outside [0, 1), or the step is not one I32.</exception>
    public static Tensor AddStochasticDepth(Tensor x, Tensor a, float p, Philox random, Tensor? step = null)
    {
        Require.SameShape(x, a);
        Require.Type(a, x.DType);
        Require.That(x.Shape.Rank > 0, $"expected pictures (N, …), got {x.Shape}");
        Require.That(p is >= 0 and < 1, $"expected a probability in [0, 1), got {p}");
        if (step != null) Require.That(step.DType == DType.I32 && step.Count == 1, $"expected the step as one I32, got {step}");
        if (p == 0) return Add(x, a);
        var y = Tensor.Like(x);
        var draw = new Draw(x.Shape[0], p, random, step);
        y.Device.Run(y.DType, new StochasticDepthForward(y, x, a, draw));
        return Tape.Record(y, [x, a], dy =>
        {
            var da = a.NeedsGrad ? Tensor.Like(a) : null;
            da?.Device.Run(da.DType, new StochasticDepthBackward(da, dy, draw));
            return [dy, da];
        });
    }
}

/// <summary>Which pictures keep the branch.</summary>
file readonly record struct Draw(int Pictures, float P, Philox Random, Tensor? Step)
{
    public float Scale => 1f / (1f - P);

    /// <summary>The factor of a picture, on the CPU.</summary>
    public unsafe float Factor(int n)
    {
        var (seed, stream, step) = Random.Key;
        return new Philox(seed, stream, Step == null ? step : (uint)*Step.I32).Uniform((ulong)n) >= P ? Scale : 0f;
    }

    /// <summary>Elements of a picture.</summary>
    public long Each(Tensor y) => y.Count / Math.Max(1, Pictures);

    /// <summary>Elements that a thread moves at once: never those of two pictures.</summary>
    public int PackOf(DType type, Tensor y, Tensor a, Tensor? b = null) => Each(y) % (16 / type.Size()) == 0 ? Pack.Of(type, y, a, b) : 1;
}

file readonly unsafe struct StochasticDepthForward(Tensor y, Tensor x, Tensor a, Draw draw) : IKernel
{
    public Work Work => Work.On("stochastic_depth_forward", 2, y, x, a);

    public void Run(CudaDevice gpu, DType type)
    {
        var pack = draw.PackOf(type, y, x, a);
        var (seed, stream, step) = draw.Random.Key;
        gpu.Launch(
            "stochastic_depth", "stochastic_depth_forward", [("TYPE", type), ("PACK", pack)], Launch.PerElement(y.Count, pack),
            y, x, a, draw.Step, y.Count, draw.Each(y), draw.P, draw.Scale, (long)seed, (int)stream, (int)step);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* px = x.At<T>(), pa = a.At<T>();
        var (each, pick) = (draw.Each(y), draw);
        var to = Target<T>.Of(y, each);
        Pictures.Run(cpu, draw.Pictures, each, (n, from, end) => Loop.Run<V, Body<T>>(new(to, px, pa, pick.Factor(n)), from, end));
    }

    private readonly struct Body<T>(Target<T> y, T* x, T* a, float factor) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            var v = T.Load<V>(x + i);
            if (factor != 0) v = V.Fma(T.Load<V>(a + i), V.Create(factor), v);
            y.Store(v, i);
        }
    }
}

file readonly unsafe struct StochasticDepthBackward(Tensor da, Tensor dy, Draw draw) : IKernel
{
    public Work Work => Work.On("stochastic_depth_backward", 1, da, dy);

    public void Run(CudaDevice gpu, DType type)
    {
        var pack = draw.PackOf(type, da, dy);
        var (seed, stream, step) = draw.Random.Key;
        gpu.Launch(
            "stochastic_depth", "stochastic_depth_backward", [("TYPE", type), ("PACK", pack)], Launch.PerElement(da.Count, pack),
            da, dy, draw.Step, da.Count, draw.Each(da), draw.P, draw.Scale, (long)seed, (int)stream, (int)step);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var from = dy.At<T>();
        var (each, pick) = (draw.Each(da), draw);
        var to = Target<T>.Of(da, each);
        Pictures.Run(cpu, draw.Pictures, each, (n, first, end) => Loop.Run<V, Body<T>>(new(to, from, pick.Factor(n)), first, end));
    }

    private readonly struct Body<T>(Target<T> da, T* dy, float factor) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => da.Store(T.Load<V>(dy + i) * V.Create(factor), i);
    }
}

file static class Pictures
{
    /// <summary>Tasks of a picture's elements from … end−1, and its number.</summary>
    public static void Run(CpuDevice cpu, int count, long each, Action<int, long, long> body)
    {
        var blocks = (int)((each + CpuDevice.Grain - 1) / CpuDevice.Grain);
        cpu.For(count * blocks, task =>
        {
            var (n, block) = Math.DivRem(task, blocks);
            body(n, n * each + (long)block * CpuDevice.Grain, n * each + Math.Min(each, (block + 1L) * CpuDevice.Grain));
        });
    }
}
