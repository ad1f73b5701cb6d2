using System.Runtime.Intrinsics;

namespace Plip.Engine;

// Another element type.
//   forward   y = x as the other type; to BF16 and F16 by rounding to nearest, ties to even; a NaN stays one
//   backward  dx = dy as x's type, where both are float
//   saved     nothing
// Cost: one pass. BF16 is the upper half of an F32: rounding is an addition of 7FFF plus the last bit that stays.
public static partial class Ops
{
    /// <summary>
    /// x as <paramref name="type"/>: F32 ↔ BF16, F32 ↔ F16, BF16 ↔ F16 (by way of F32), I32 ↔ I64, U8 → F32. The same
    /// type gives x itself.
    /// </summary>
    /// <exception cref="ArgumentException">There is no such conversion.</exception>
    /// <exception cref="OverflowException">An I64 does not fit in an I32; the error names its position.</exception>
    public static Tensor Cast(Tensor x, DType type)
    {
        if (x.DType == type) return x;
        if (x.DType != DType.F32 && type != DType.F32 && x.DType.IsFloat() && type.IsFloat()) return Cast(Cast(x, DType.F32), type);
        var y = Tensor.Empty(x.Device, x.Shape, type);
        switch (x.DType, type)
        {
            case (DType.F32, DType.BF16): y.Device.Run(cpu: cpu => CastCpu.ToBF16(cpu, y, x)); break;
            case (DType.BF16, DType.F32): y.Device.Run(cpu: cpu => CastCpu.FromBF16(cpu, y, x)); break;
            case (DType.F32, DType.F16): y.Device.Run(cpu: cpu => CastCpu.ToF16(cpu, y, x)); break;
            case (DType.F16, DType.F32): y.Device.Run(cpu: cpu => CastCpu.FromF16(cpu, y, x)); break;
            case (DType.I32, DType.I64): y.Device.Run(cpu: cpu => CastCpu.Widen(cpu, y, x)); break;
            case (DType.I64, DType.I32): y.Device.Run(cpu: cpu => CastCpu.Narrow(cpu, y, x)); break;
            case (DType.U8, DType.F32): y.Device.Run(cpu: cpu => CastCpu.FromBytes(cpu, y, x)); break;
            default:
                y.Release();
                throw new ArgumentException($"Cast: no conversion from {x.DType} to {type}");
        }
        return type.IsFloat() && x.DType.IsFloat()
            ? Tape.Record(y, [x], dy => [Cast(dy, x.DType)])
            : Tape.RecordWithoutGradient(y, [x]);
    }
}

file static unsafe class CastCpu
{
    public static void ToBF16(CpuDevice cpu, Tensor y, Tensor x)
    {
        var (from, to) = (x.Address, y.Address);
        cpu.ForRange(x.Count, CpuDevice.Grain, (i, end) =>
        {
            var s = (uint*)from;
            var d = (ushort*)to;
            for (; i <= end - 16; i += 16)
            {
                var v = Vector512.Load(s + i);
                var rounded = (v + Vector512.Create(0x7FFFu) + ((v >>> 16) & Vector512.Create(1u))) >>> 16;
                var nan = Vector512.GreaterThan(v & Vector512.Create(0x7FFFFFFFu), Vector512.Create(0x7F800000u));
                var bits = Vector512.ConditionalSelect(nan, (v >>> 16) | Vector512.Create(0x40u), rounded);
                Vector256.Narrow(bits.GetLower(), bits.GetUpper()).Store(d + i);
            }
            for (; i < end; i++) d[i] = Round(s[i]);
        });
    }

    /// <summary>Adding would carry a NaN's payload into the exponent and make it ∞: NaNs are cut, and kept quiet by a set bit.</summary>
    private static ushort Round(uint bits) => (bits & 0x7FFFFFFF) > 0x7F800000
        ? (ushort)((bits >> 16) | 0x40)
        : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);

    public static void FromBF16(CpuDevice cpu, Tensor y, Tensor x)
    {
        var (from, to) = (x.Address, y.Address);
        cpu.ForRange(x.Count, CpuDevice.Grain, (i, end) =>
        {
            var s = (ushort*)from;
            var d = (uint*)to;
            for (; i <= end - 16; i += 16)
            {
                var (lower, upper) = Vector256.Widen(Vector256.Load(s + i));
                (Vector512.Create(lower, upper) << 16).Store(d + i);
            }
            for (; i < end; i++) d[i] = (uint)s[i] << 16;
        });
    }

    public static void ToF16(CpuDevice cpu, Tensor y, Tensor x)
    {
        var (from, to) = (x.Address, y.Address);
        cpu.ForRange(x.Count, CpuDevice.Grain, (i, end) =>
        {
            for (; i < end; i++) ((Half*)to)[i] = (Half)((float*)from)[i];
        });
    }

    public static void FromF16(CpuDevice cpu, Tensor y, Tensor x)
    {
        var (from, to) = (x.Address, y.Address);
        cpu.ForRange(x.Count, CpuDevice.Grain, (i, end) =>
        {
            for (; i < end; i++) ((float*)to)[i] = (float)((Half*)from)[i];
        });
    }

    public static void Widen(CpuDevice cpu, Tensor y, Tensor x)
    {
        var (from, to) = (x.Address, y.Address);
        cpu.ForRange(x.Count, CpuDevice.Grain, (i, end) =>
        {
            for (; i < end; i++) ((long*)to)[i] = ((int*)from)[i];
        });
    }

    public static void Narrow(CpuDevice cpu, Tensor y, Tensor x)
    {
        var (from, to) = (x.Address, y.Address);
        cpu.ForRange(x.Count, CpuDevice.Grain, (i, end) =>
        {
            for (; i < end; i++)
            {
                var v = ((long*)from)[i];
                if (v != (int)v) throw new OverflowException($"Cast: element {i} is {v}, which does not fit in an I32");
                ((int*)to)[i] = (int)v;
            }
        });
    }

    public static void FromBytes(CpuDevice cpu, Tensor y, Tensor x)
    {
        var (from, to) = (x.Address, y.Address);
        cpu.ForRange(x.Count, CpuDevice.Grain, (i, end) =>
        {
            for (; i <= end - 16; i += 16)
            {
                var (a, b) = Vector128.Widen(Vector128.Load((byte*)from + i));
                var (a0, a1) = Vector128.Widen(a);
                var (b0, b1) = Vector128.Widen(b);
                var wide = Vector512.Create(Vector256.Create(a0, a1), Vector256.Create(b0, b1));
                Vector512.ConvertToSingle(wide.AsInt32()).Store((float*)to + i);
            }
            for (; i < end; i++) ((float*)to)[i] = ((byte*)from)[i];
        });
    }
}
