using System.Runtime.Intrinsics;

namespace Plip.Engine;

// Softmax and its logarithm over the last axis.
//   Softmax     y = e^(x−m)/Σ e^(x−m)         dx = y⊙(dy − Σ y⊙dy)          saved y
//   LogSoftmax  y = x − m − log Σ e^(x−m)     dx = dy − eʸ·Σ dy             saved y
//   care        m = max x is taken off first: e^x overflows from 89 on
//   −∞          an entry gets probability 0 and no gradient; a row of nothing else gets zeros (log: −∞), not NaN
// Cost: a row stays in L1 through its three reads: 8 bytes an element forward, 12 backward, and two exps at most.
public static partial class Ops
{
    /// <summary>Softmax over the last axis. Any shape, F32.</summary>
    public static Tensor Softmax(Tensor x)
    {
        var y = Tensor.Like(x);
        y.Device.Run(cpu: cpu => SoftmaxCpu.Forward(cpu, y, x));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(cpu: cpu => SoftmaxCpu.Backward(cpu, dx, dy, y));
            return [dx];
        });
    }

    /// <summary>Logarithm of <see cref="Softmax"/> over the last axis, without its underflow. Any shape, F32.</summary>
    public static Tensor LogSoftmax(Tensor x)
    {
        var y = Tensor.Like(x);
        y.Device.Run(cpu: cpu => SoftmaxCpu.LogForward(cpu, y, x));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(cpu: cpu => SoftmaxCpu.LogBackward(cpu, dx, dy, y));
            return [dx];
        });
    }
}

/// <summary>Row-wise softmax arithmetic, shared with the fused cross entropy.</summary>
internal static unsafe class SoftmaxCpu
{
    /// <summary>Rows a task takes: about <see cref="CpuDevice.Grain"/> elements.</summary>
    public static int RowsPerTask(int cols) => Math.Max(1, CpuDevice.Grain / Math.Max(1, cols));

    /// <summary>Σ e^(x−shift); the terms go to <paramref name="y"/> when it is given.</summary>
    public static float ExpSum(float* x, int n, float shift, float* y = null)
    {
        Vector512<float> sum = default, s = Vector512.Create(shift);
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            var e = Simd.ExpToZero(Vector512.Load(x + i) - s);
            sum += e;
            if (y != null) e.Store(y + i);
        }
        var total = Vector512.Sum(sum);
        if (i == n) return total;
        var last = Simd.ExpToZero(Vector512.Load(x + i) - s); // reads past the row; blocks have slack for it
        for (var k = 0; i < n; i++, k++)
        {
            total += last[k];
            if (y != null) y[i] = last[k];
        }
        return total;
    }

    /// <summary>log Σ eˣ of a row; −∞ for a row of −∞.</summary>
    public static float LogSumExp(float* x, int n)
    {
        var max = Simd.Max(x, n);
        return float.IsNegativeInfinity(max) ? max : max + MathF.Log(ExpSum(x, n, max));
    }

    public static void Forward(CpuDevice cpu, Tensor y, Tensor x)
    {
        float* py = y.F32, px = x.F32;
        var cols = x.Cols;
        cpu.ForRange(x.Rows, RowsPerTask(cols), (from, to) =>
        {
            for (var r = from; r < to; r++)
            {
                float* row = px + r * cols, o = py + r * cols;
                var max = Simd.Max(row, cols);
                if (float.IsNegativeInfinity(max))
                {
                    new Span<float>(o, cols).Clear();
                    continue;
                }
                var inverse = 1f / ExpSum(row, cols, max, o);
                var i = 0;
                for (; i <= cols - 16; i += 16) (Vector512.Load(o + i) * inverse).Store(o + i);
                for (; i < cols; i++) o[i] *= inverse;
            }
        });
    }

    public static void Backward(CpuDevice cpu, Tensor dx, Tensor dy, Tensor y)
    {
        float* pdx = dx.F32, pdy = dy.F32, py = y.F32;
        var cols = y.Cols;
        cpu.ForRange(y.Rows, RowsPerTask(cols), (from, to) =>
        {
            for (var r = from; r < to; r++)
            {
                float* o = pdx + r * cols, g = pdy + r * cols, p = py + r * cols;
                var dot = Simd.Dot(g, p, cols);
                var i = 0;
                for (; i <= cols - 16; i += 16) (Vector512.Load(p + i) * (Vector512.Load(g + i) - Vector512.Create(dot))).Store(o + i);
                for (; i < cols; i++) o[i] = p[i] * (g[i] - dot);
            }
        });
    }

    public static void LogForward(CpuDevice cpu, Tensor y, Tensor x)
    {
        float* py = y.F32, px = x.F32;
        var cols = x.Cols;
        cpu.ForRange(x.Rows, RowsPerTask(cols), (from, to) =>
        {
            for (var r = from; r < to; r++)
            {
                float* row = px + r * cols, o = py + r * cols;
                var max = Simd.Max(row, cols);
                var log = float.IsNegativeInfinity(max) ? 0f : MathF.Log(ExpSum(row, cols, max));
                if (float.IsNegativeInfinity(max)) max = 0f; // −∞ − 0 stays −∞
                // In two steps: x − m is exact where x is near m, and 10⁴ + log Σ would lose the logarithm's digits.
                var i = 0;
                for (; i <= cols - 16; i += 16) (Vector512.Load(row + i) - Vector512.Create(max) - Vector512.Create(log)).Store(o + i);
                for (; i < cols; i++) o[i] = row[i] - max - log;
            }
        });
    }

    public static void LogBackward(CpuDevice cpu, Tensor dx, Tensor dy, Tensor y)
    {
        float* pdx = dx.F32, pdy = dy.F32, py = y.F32;
        var cols = y.Cols;
        cpu.ForRange(y.Rows, RowsPerTask(cols), (from, to) =>
        {
            for (var r = from; r < to; r++) LogBackwardRow(pdx + r * cols, pdy + r * cols, py + r * cols, cols);
        });
    }

    private static void LogBackwardRow(float* o, float* g, float* y, int cols)
    {
        // An entry of −∞ is a constant: its dy counts for nothing, as if it were not in the row.
        Vector512<float> sums = default, never = Vector512.Create(float.NegativeInfinity);
        var sum = 0f;
        var i = 0;
        for (; i <= cols - 16; i += 16)
            sums += Vector512.ConditionalSelect(Vector512.Equals(Vector512.Load(y + i), never), Vector512<float>.Zero, Vector512.Load(g + i));
        for (; i < cols; i++) sum += float.IsNegativeInfinity(y[i]) ? 0f : g[i];
        sum += Vector512.Sum(sums);
        for (i = 0; i < cols; i += 16)
        {
            var (p, d) = (Vector512.Load(y + i), Vector512.Load(g + i));
            var v = Vector512.ConditionalSelect(Vector512.Equals(p, never), Vector512<float>.Zero, d - Simd.ExpToZero(p) * sum);
            if (i <= cols - 16) v.Store(o + i);
            else
                for (var k = 0; i + k < cols; k++) o[i + k] = v[k];
        }
    }
}
