using System.Runtime.Intrinsics;

namespace Plip.Engine;

// Dropout.                                                  Srivastava et al., JMLR 15 (2014)
//   forward   y_i = x_i/(1−p) where u_i ≥ p, else 0;  u_i = random.Uniform(i)
//   backward  dx = the same function of dy: the mask is drawn again, not kept
//   saved     nothing
// u_i is a function of the element's number alone, so every device and any number of threads drop the same elements.
// Cost: 8 bytes an element, and ten rounds of Philox for every four elements, eight such counters abreast.
public static partial class Ops
{
    /// <summary>Zeroes each element with probability p and scales the others by 1/(1−p). Any shape, F32. With p = 0 it is x itself.</summary>
    /// <param name="x">The input.</param>
    /// <param name="p">Probability of a zero, in [0, 1).</param>
    /// <param name="random">The stream and step that decide; two dropouts of one step need different streams.</param>
    /// <exception cref="ArgumentException"><paramref name="p"/> is outside [0, 1).</exception>
    public static Tensor Dropout(Tensor x, float p, Philox random)
    {
        Require.That(p is >= 0 and < 1, $"expected a probability in [0, 1), got {p}");
        if (p == 0) return x;
        var y = Tensor.Like(x);
        y.Device.Run(cpu: cpu => DropoutCpu.Run(cpu, y, x, p, random));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(cpu: cpu => DropoutCpu.Run(cpu, dx, dy, p, random));
            return [dx];
        });
    }
}

file static unsafe class DropoutCpu
{
    public static void Run(CpuDevice cpu, Tensor y, Tensor x, float p, Philox random)
    {
        float* py = y.F32, px = x.F32;
        var scale = 1f / (1f - p);
        // Uniform is a multiple of 2⁻²⁴, so u ≥ p is a comparison of integers.
        var threshold = (int)Math.Ceiling((double)p * (1 << 24));
        // Grain is a multiple of a run, so a task begins where one does.
        cpu.ForRange(y.Count, CpuDevice.Grain, (from, to) =>
        {
            var words = stackalloc uint[Philox.RunLength];
            for (var i = from; i < to; i += 16)
            {
                var half = (int)(i & 16);
                if (half == 0) random.Run((ulong)i >> 2, words);
                var keep = Vector512.GreaterThanOrEqual((Vector512.Load(words + half) >>> 8).AsInt32(), Vector512.Create(threshold)).AsSingle();
                // The last load may run past the end (blocks have slack for a vector); the store may not.
                var v = Vector512.ConditionalSelect(keep, Vector512.Load(px + i) * scale, Vector512<float>.Zero);
                if (i <= to - 16) v.Store(py + i);
                else
                    for (var k = 0; i + k < to; k++) py[i + k] = v[k];
            }
        });
    }
}
