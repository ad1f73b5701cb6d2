namespace Plip.Engine;

// Sums and means over everything.
//   y = Σ x        dx = dy broadcast
//   y = mean x     dx = dy/n broadcast
// Order: blocks of a fixed length are summed in F32 vectors, the blocks' sums in F64, always in the same order.
public static partial class Ops
{
    /// <summary>Σ of all elements, a scalar. F32.</summary>
    public static Tensor Sum(Tensor x) => ScaledSum(x, 1f);

    /// <summary>Mean of all elements, a scalar. F32.</summary>
    /// <exception cref="ArgumentException">There are none.</exception>
    public static Tensor Mean(Tensor x)
    {
        Require.That(x.Count > 0, $"expected elements, got shape {x.Shape}");
        return ScaledSum(x, 1f / x.Count);
    }

    private static Tensor ScaledSum(Tensor x, float scale)
    {
        var y = Tensor.Empty(x.Device, new Shape());
        y.Device.Run(cpu: cpu => ReduceCpu.Sum(cpu, y, x, scale));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(cpu: cpu => ReduceCpu.Spread(cpu, dx, dy, scale));
            return [dx];
        });
    }
}

file static unsafe class ReduceCpu
{
    public static void Sum(CpuDevice cpu, Tensor y, Tensor x, float scale)
    {
        var px = x.F32;
        var blocks = new double[(x.Count + CpuDevice.Grain - 1) / CpuDevice.Grain];
        cpu.ForRange(x.Count, CpuDevice.Grain, (from, to) => blocks[from / CpuDevice.Grain] = Simd.Sum(px + from, (int)(to - from)));
        double sum = 0;
        foreach (var b in blocks) sum += b;
        *y.F32 = (float)(sum * scale);
    }

    public static void Spread(CpuDevice cpu, Tensor dx, Tensor dy, float scale)
    {
        var p = dx.F32;
        var value = *dy.F32 * scale;
        cpu.ForRange(dx.Count, CpuDevice.Grain, (from, to) => new Span<float>(p + from, (int)(to - from)).Fill(value));
    }
}
