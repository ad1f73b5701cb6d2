using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>The rungs of layer norm and softmax against the ops they lead to, and in the traps that their headers name.</summary>
public class RowLadderTests
{
    private static readonly string[] s_devices = ["cuda", "cuda-exact"];

    [Fact]
    public void Layer_norm_on_every_rung()
    {
        foreach (var device in s_devices)
        {
            using var d = Devices.Open(device);
            using var step = d.BeginStep(recordGradients: false);
            foreach (var (rows, cols, shift) in new[] { (1, 1, 0f), (300, 70, 0f), (5, 600, 1000f) })
            {
                Tensor x = Input.Normal(new(rows, cols), 1, shift: shift).ToTensor(d), g = Input.Normal(new(cols), 2).ToTensor(d), b = Input.Normal(new(cols), 3).ToTensor(d);
                var expected = Array.ConvertAll(Ops.LayerNorm(x, g, b).ToArray(), v => (double)v);
                // With a mean a thousand times the deviation inputs carry 6e-5 of rounding themselves.
                foreach (var rung in LayerNormLadder.Rungs) Check.Close(expected, LayerNormLadder.Run(rung, x, g, b).ToArray(), shift > 0 ? 1e-3 : 1e-5, rung.Name);
            }
        }
    }

    [Fact]
    public void Softmax_on_every_rung()
    {
        foreach (var device in s_devices)
        {
            using var d = Devices.Open(device);
            using var step = d.BeginStep(recordGradients: false);
            foreach (var cols in new[] { 1, 33, 600 })
            {
                var values = Values.Normal(3 * cols, 1);
                for (var i = 0; i < cols; i++) (values[i], values[cols + i]) = (values[i] * 30 + 1e4f, i % 2 == 0 ? float.NegativeInfinity : values[cols + i]);
                values.AsSpan(2 * cols).Fill(float.NegativeInfinity);
                var x = Tensor.From(d, values, new(3, cols));
                var expected = Array.ConvertAll(Ops.Softmax(x).ToArray(), v => (double)v);
                foreach (var rung in SoftmaxLadder.Rungs) Check.Close(expected, SoftmaxLadder.Run(rung, x).ToArray(), 1e-6, rung.Name);
            }
        }
    }
}
