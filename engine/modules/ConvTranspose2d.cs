namespace Plip.Engine;

/// <summary>
/// Transposed convolution of NHWC pictures. Parameters: weight, stored (R, S, Out, In), in checkpoints (In, Out, R, S);
/// bias (Out).
/// </summary>
public sealed class ConvTranspose2d : Module
{
    private readonly int _stride, _padding, _outputPadding;

    /// <summary>A square filter; parameters start as in PyTorch, whose fan-in here counts the result's channels.</summary>
    public ConvTranspose2d(int inputs, int outputs, int kernel, int stride = 1, int padding = 0, int outputPadding = 0, bool bias = true)
    {
        (_stride, _padding, _outputPadding) = (stride, padding, outputPadding);
        var start = Init.Kaiming(outputs * kernel * kernel);
        Weight = Param("weight", new Shape(kernel, kernel, outputs, inputs), start, ParameterLayout.Conv);
        if (bias) Bias = Param("bias", new Shape(outputs), start);
    }

    /// <summary>(R, S, Out, In).</summary>
    public Parameter Weight { get; }

    /// <summary>(Out), or null.</summary>
    public Parameter? Bias { get; }

    /// <summary>(N, H, W, In) → (N, Ho, Wo, Out), Ho = (H − 1)·stride − 2·padding + R + outputPadding, in the precision the weight is computed with.</summary>
    public Tensor Forward(Tensor x) => Forward(x, relu: false);

    /// <summary>The same, then max(0, ·) where asked, in one pass where the device has one.</summary>
    public Tensor Forward(Tensor x, bool relu) => Ops.ConvTranspose2d(Ops.Cast(x, Weight.Compute.DType), Weight.Compute, Bias?.Value, _stride, _padding, _outputPadding, relu);
}
