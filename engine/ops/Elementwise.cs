using System.Runtime.Intrinsics;

namespace Plip.Engine;

// Sums, products and scalings of tensors of one shape.
//   y = a + b      da = dy,     db = dy
//   y = a ⊙ b      da = dy⊙b,   db = dy⊙a        saved a, b
//   y = s·x + t    dx = s·dy
// Cost: one pass; 12 bytes an element for two inputs, 8 for one. They are bound by memory on every device.
/// <summary>The tensor operations. Each op is one page: its maths, what it saves, its forward, its backward, every device.</summary>
public static partial class Ops
{
    /// <summary>a + b, element by element. Any shape, F32.</summary>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public static Tensor Add(Tensor a, Tensor b)
    {
        Require.SameShape(a, b);
        var y = Tensor.Like(a);
        y.Device.Run(cpu: cpu => ElementwiseCpu.Add(cpu, y, a, b));
        return Tape.Record(y, [a, b], dy => [dy, dy]);
    }

    /// <summary>a − b, element by element. Any shape, F32.</summary>
    public static Tensor Subtract(Tensor a, Tensor b)
    {
        Require.SameShape(a, b);
        var y = Tensor.Like(a);
        y.Device.Run(cpu: cpu => ElementwiseCpu.Combine(cpu, y, a, 1f, b, -1f));
        return Tape.Record(y, [a, b], dy => [dy, b.NeedsGrad ? Affine(dy, -1f) : null]);
    }

    /// <summary>a ⊙ b, element by element. Any shape, F32.</summary>
    public static Tensor Multiply(Tensor a, Tensor b)
    {
        Require.SameShape(a, b);
        var y = Tensor.Like(a);
        y.Device.Run(cpu: cpu => ElementwiseCpu.Multiply(cpu, y, a, b));
        return Tape.Record(y, [a, b], dy => [a.NeedsGrad ? Multiply(dy, b) : null, b.NeedsGrad ? Multiply(dy, a) : null]);
    }

    /// <summary>scale·x + shift, element by element. Any shape, F32.</summary>
    public static Tensor Affine(Tensor x, float scale, float shift = 0f)
    {
        var y = Tensor.Like(x);
        y.Device.Run(cpu: cpu => ElementwiseCpu.Affine(cpu, y, x, scale, shift));
        return Tape.Record(y, [x], dy => [Affine(dy, scale)]);
    }

    /// <summary>Σ weightᵢ·lossᵢ over scalars: the total of a multi-task loss.</summary>
    /// <exception cref="ArgumentException">No term, or one that is not a scalar.</exception>
    public static Tensor WeightedSum(IReadOnlyList<(Tensor Loss, float Weight)> terms)
    {
        Require.That(terms.Count > 0, "expected at least one term");
        Tensor? sum = null;
        foreach (var (loss, weight) in terms)
        {
            Require.That(loss.Count == 1, $"expected scalars, got {loss.Shape}");
            var term = Affine(loss, weight);
            sum = sum == null ? term : Add(sum, term);
        }
        return sum!;
    }

    /// <summary>x += g in place, outside the tape: accumulation of gradients.</summary>
    internal static void AddInto(Tensor x, Tensor g)
    {
        Require.SameShape(x, g);
        x.Device.Run(cpu: cpu => ElementwiseCpu.Add(cpu, x, x, g));
    }

    /// <summary>A constant tensor.</summary>
    public static Tensor Full(Device device, Shape shape, float value)
    {
        var y = Tensor.Empty(device, shape);
        device.Run(cpu: cpu => ElementwiseCpu.Fill(cpu, y, value));
        return y;
    }
}

file static unsafe class ElementwiseCpu
{
    public static void Add(CpuDevice cpu, Tensor y, Tensor a, Tensor b)
    {
        float* py = y.F32, pa = a.F32, pb = b.F32;
        cpu.ForRange(y.Count, CpuDevice.Grain, (from, to) =>
        {
            var i = from;
            for (; i <= to - 16; i += 16) (Vector512.Load(pa + i) + Vector512.Load(pb + i)).Store(py + i);
            for (; i < to; i++) py[i] = pa[i] + pb[i];
        });
    }

    public static void Combine(CpuDevice cpu, Tensor y, Tensor a, float sa, Tensor b, float sb)
    {
        float* py = y.F32, pa = a.F32, pb = b.F32;
        cpu.ForRange(y.Count, CpuDevice.Grain, (from, to) =>
        {
            var i = from;
            for (; i <= to - 16; i += 16) (Vector512.Load(pa + i) * sa + Vector512.Load(pb + i) * sb).Store(py + i);
            for (; i < to; i++) py[i] = pa[i] * sa + pb[i] * sb;
        });
    }

    public static void Multiply(CpuDevice cpu, Tensor y, Tensor a, Tensor b)
    {
        float* py = y.F32, pa = a.F32, pb = b.F32;
        cpu.ForRange(y.Count, CpuDevice.Grain, (from, to) =>
        {
            var i = from;
            for (; i <= to - 16; i += 16) (Vector512.Load(pa + i) * Vector512.Load(pb + i)).Store(py + i);
            for (; i < to; i++) py[i] = pa[i] * pb[i];
        });
    }

    public static void Affine(CpuDevice cpu, Tensor y, Tensor x, float scale, float shift)
    {
        float* py = y.F32, px = x.F32;
        cpu.ForRange(y.Count, CpuDevice.Grain, (from, to) =>
        {
            var t = Vector512.Create(shift);
            var i = from;
            for (; i <= to - 16; i += 16) (Vector512.Load(px + i) * scale + t).Store(py + i);
            for (; i < to; i++) py[i] = px[i] * scale + shift;
        });
    }

    public static void Fill(CpuDevice cpu, Tensor y, float value)
    {
        var py = y.F32;
        cpu.ForRange(y.Count, CpuDevice.Grain, (from, to) => new Span<float>(py + from, (int)(to - from)).Fill(value));
    }
}
