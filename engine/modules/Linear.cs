namespace Plip.Engine;

/// <summary>x·Wᵀ + b over the last axis. Parameters: weight (Out, In), bias (Out).</summary>
public sealed class Linear : Module
{
    /// <summary>A linear map; both parameters start as in PyTorch unless <paramref name="init"/> is given for the weight (the bias then starts at 0).</summary>
    /// <param name="init">Start of the weight, such as <c>Init.Normal(0.02f)</c> in BERT.</param>
    public Linear(int inputs, int outputs, bool bias = true, Init? init = null)
    {
        Weight = Param("weight", new Shape(outputs, inputs), init ?? Init.Kaiming(inputs));
        if (bias) Bias = Param("bias", new Shape(outputs), init == null ? Init.Kaiming(inputs) : Init.Zeros);
    }

    /// <summary>(Out, In).</summary>
    public Parameter Weight { get; }

    /// <summary>(Out), or null.</summary>
    public Parameter? Bias { get; }

    /// <summary>(…, In) → (…, Out), in the precision the weight is computed with.</summary>
    public Tensor Forward(Tensor x) => Ops.Linear(Ops.Cast(x, Weight.Compute.DType), Weight.Compute, Bias?.Value);

    /// <summary>GELU of <see cref="Forward"/>, in one pass.</summary>
    public Tensor ForwardGelu(Tensor x) => Ops.LinearGelu(Ops.Cast(x, Weight.Compute.DType), Weight.Compute, Bias?.Value);

    /// <summary>Mean cross entropy of <see cref="Forward"/>'s rows as logits, which are never all in memory: see <see cref="Ops.LinearCrossEntropy(Tensor, Tensor, Tensor?, Tensor, int)"/>.</summary>
    /// <param name="x">(M, In).</param>
    /// <param name="labels">I32 (M).</param>
    /// <param name="ignoreIndex">The label of rows that do not count.</param>
    public Tensor CrossEntropy(Tensor x, Tensor labels, int ignoreIndex = -100) =>
        Ops.LinearCrossEntropy(Ops.Cast(x, Weight.Compute.DType), Weight.Compute, Bias?.Value, labels, ignoreIndex);
}
