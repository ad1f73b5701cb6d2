namespace Plip.Engine;

// The gray form of normalised pictures, normalised again.                          luma of ITU-R BT.601
//   g = Σ_c luma_c·(x_c·std_c + mean_c);  y_c = (g − mean_c)/std_c
// which is one product with a vector: y_c = (Σ_k luma_k·std_k·x_k + Σ_k luma_k·mean_k − mean_c)/std_c.
// It prepares inputs, so there is no gradient. Cost: one pass, 1 read and 1 write.
public static partial class Ops
{
    /// <summary>Gray pictures in three equal channels (before normalisation): x (N, H, W, 3) → the same shape. F32, no gradient.</summary>
    /// <param name="x">Pictures, RGB, normalised by mean and std.</param>
    /// <param name="mean">The mean that was subtracted, by channel, of values in 0..1.</param>
    /// <param name="std">The deviation they were divided by, by channel.</param>
    /// <exception cref="ArgumentException">x has not 3 channels, mean or std not 3 values, or a deviation is not positive.</exception>
    public static Tensor ToGray(Tensor x, ReadOnlySpan<float> mean, ReadOnlySpan<float> std)
    {
        Require.That(x.Cols == 3, $"expected RGB in the last axis, got {x.Shape}");
        Require.That(mean.Length == 3 && std.Length == 3, $"expected 3 means and deviations, got {mean.Length} and {std.Length}");
        Require.That(std[0] > 0 && std[1] > 0 && std[2] > 0, $"expected positive deviations, got {std[0]}, {std[1]}, {std[2]}");
        var mix = new GrayMix(mean.ToArray(), std.ToArray());
        var y = Tensor.Like(x);
        y.Device.Run(cpu: cpu => GrayCpu.Forward(cpu, y, x, mix));
        return Tape.RecordWithoutGradient(y, [x]);
    }
}

file sealed class GrayMix
{
    private static readonly double[] Luma = [0.299, 0.587, 0.114];

    public GrayMix(float[] mean, float[] std)
    {
        var level = 0.0;
        for (var k = 0; k < 3; k++) level += Luma[k] * mean[k];
        for (var k = 0; k < 3; k++)
        {
            In[k] = (float)(Luma[k] * std[k]);
            Scale[k] = (float)(1.0 / std[k]);
            Shift[k] = (float)((level - mean[k]) / std[k]);
        }
    }

    /// <summary>g − Σ luma·mean = Σ In·x.</summary>
    public float[] In { get; } = new float[3];

    /// <summary>y = Scale·(g − Σ luma·mean) + Shift.</summary>
    public float[] Scale { get; } = new float[3];

    /// <inheritdoc cref="Scale"/>
    public float[] Shift { get; } = new float[3];
}

file static unsafe class GrayCpu
{
    public static void Forward(CpuDevice cpu, Tensor y, Tensor x, GrayMix mix)
    {
        float* py = y.F32, px = x.F32;
        var (r, g, b) = (mix.In[0], mix.In[1], mix.In[2]);
        var (sr, sg, sb) = (mix.Scale[0], mix.Scale[1], mix.Scale[2]);
        var (tr, tg, tb) = (mix.Shift[0], mix.Shift[1], mix.Shift[2]);
        cpu.ForRange(x.Rows, CpuDevice.Grain / 4, (from, to) =>
        {
            // Scalar: about a nanosecond a pixel, where the convolution that follows takes hundreds.
            for (var i = from; i < to; i++)
            {
                float* p = px + 3 * i, o = py + 3 * i;
                var level = r * p[0] + g * p[1] + b * p[2];
                o[0] = level * sr + tr;
                o[1] = level * sg + tg;
                o[2] = level * sb + tb;
            }
        });
    }
}
