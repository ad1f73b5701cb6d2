namespace Plip.Engine;

/// <summary>Convolution of NHWC pictures. Parameters: weight, stored (R, S, C, K), in checkpoints (K, C, R, S); bias (K).</summary>
public sealed class Conv2d : Module
{
    /// <summary>A square filter; parameters start as in PyTorch.</summary>
    public Conv2d(int inputs, int outputs, int kernel, int stride = 1, int padding = 0, bool bias = true, Init? init = null)
    {
        (Stride, Padding) = (stride, padding);
        var start = Init.Kaiming(inputs * kernel * kernel);
        Weight = Param("weight", new Shape(kernel, kernel, inputs, outputs), init ?? start, ParameterLayout.Conv);
        if (bias) Bias = Param("bias", new Shape(outputs), init == null ? start : Init.Zeros);
    }

    /// <summary>(R, S, C, K).</summary>
    public Parameter Weight { get; }

    /// <summary>(K), or null.</summary>
    public Parameter? Bias { get; }

    /// <summary>Pixels from one result to the next.</summary>
    public int Stride { get; }

    /// <summary>Rows and columns of zeros around a picture.</summary>
    public int Padding { get; }

    /// <summary>(N, H, W, C) → (N, Ho, Wo, K), Ho = ⌊(H + 2·padding − R)/stride⌋ + 1, in the precision the weight is computed with.</summary>
    public Tensor Forward(Tensor x) => Forward(x, relu: false);

    /// <summary>The same, then max(0, ·) where asked, in one pass where the device has one.</summary>
    public Tensor Forward(Tensor x, bool relu) => Ops.Conv2d(Ops.Cast(x, Weight.Compute.DType), Weight.Compute, Bias?.Value, Stride, Padding, relu);
}
