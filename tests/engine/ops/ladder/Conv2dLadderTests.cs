using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class Conv2dLadderTests
{
    [Theory, OnEachDevice("2x5x7x3x3x3x18x2x1", "1x9x6x20x3x2x5x1x2", "3x4x5x16x1x1x33x1x0")]
    public void Every_rung_is_the_op(string device, int[] q)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep(recordGradients: false);
        foreach (var bf16 in new[] { false, true })
        {
            var (x, w) = (Input.Normal(new(q[0], q[1], q[2], q[3]), 1), Input.Normal(new(q[4], q[5], q[3], q[6]), 2));
            var (tx, tw) = bf16 ? (x.BF16.ToTensor(d), w.BF16.ToTensor(d)) : (x.ToTensor(d), w.ToTensor(d));
            // The op of an independent device: the formula's own test is Conv2dTests.
            using var cpu = new CpuDevice(1);
            using var other = cpu.BeginStep(recordGradients: false);
            var expected = Ops.Cast(Ops.Conv2d(bf16 ? x.BF16.ToTensor(cpu) : x.ToTensor(cpu), bf16 ? w.BF16.ToTensor(cpu) : w.ToTensor(cpu), null, q[7], q[8]), DType.F32);
            foreach (var rung in Conv2dLadder.Rungs)
                Check.Close(
                    Array.ConvertAll(expected.ToArray(), v => (double)v), Ops.Cast(Conv2dLadder.Run(rung, tx, tw, q[7], q[8]), DType.F32).ToArray(),
                    bf16 ? Check.BF16Tolerance : 2e-5, rung.Name);
        }
    }
}
