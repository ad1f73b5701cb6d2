namespace Plip.Engine;

// The gray form of normalised pictures, normalised again.                          luma of ITU-R BT.601
//   g = Σ_c luma_c·(x_c·std_c + mean_c);  y_c = (g − mean_c)/std_c
// which is one product with a vector: y_c = (Σ_k luma_k·std_k·x_k + Σ_k luma_k·mean_k − mean_c)/std_c.
// It prepares inputs, so there is no gradient. Cost: one pass, 1 read and 1 write.
public static partial class Ops
{
    /// <summary>Gray pictures in three equal channels (before normalisation): x (N, H, W, 3) → the same shape. F32 or BF16, no gradient.</summary>
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
        y.Device.Run(x.DType, new GrayKernel(y, x, mix));
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

file readonly unsafe struct GrayKernel(Tensor y, Tensor x, GrayMix mix) : IKernel
{
    public Work Work => Work.On("gray", 4, y, x);

    public void Run(CudaDevice gpu, DType type) => gpu.Launch(
        "gray", "gray", [("TYPE", type)], Launch.PerElement(x.Rows), y, x, (long)x.Rows, mix.In[0], mix.In[1], mix.In[2],
        mix.Scale[0], mix.Scale[1], mix.Scale[2], mix.Shift[0], mix.Shift[1], mix.Shift[2]);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* py = y.At<T>(), px = x.At<T>();
        var m = mix;
        cpu.ForRange(x.Rows, CpuDevice.Grain / 4, (from, to) =>
            Pixels(py + 3 * from, px + 3 * from, to - from, m.In[0], m.In[1], m.In[2], m.Scale[0], m.Scale[1], m.Scale[2], m.Shift[0], m.Shift[1], m.Shift[2]));
    }

    // A pixel at a time: about a nanosecond, where the convolution that follows takes hundreds.
    private static void Pixels<T>(T* y, T* x, long count, float r, float g, float b, float sr, float sg, float sb, float tr, float tg, float tb)
        where T : unmanaged, IElement<T>
    {
        for (; count > 0; count--, x += 3, y += 3)
        {
            var level = r * T.Load<Vec1>(x).Value + g * T.Load<Vec1>(x + 1).Value + b * T.Load<Vec1>(x + 2).Value;
            T.Store(new Vec1(level * sr + tr), y);
            T.Store(new Vec1(level * sg + tg), y + 1);
            T.Store(new Vec1(level * sb + tb), y + 2);
        }
    }
}
