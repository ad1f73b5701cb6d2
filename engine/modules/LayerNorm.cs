namespace Plip.Engine;

/// <summary>Layer normalisation over the last axis. Parameters: weight (C) from 1, bias (C) from 0.</summary>
public sealed class LayerNorm : Module
{
    private readonly float _eps;

    /// <summary>For rows of <paramref name="channels"/>; BERT uses eps 1e-12, PyTorch's default is 1e-5.</summary>
    public LayerNorm(int channels, float eps = 1e-5f)
    {
        _eps = eps;
        Weight = Param("weight", new Shape(channels), Init.Ones);
        Bias = Param("bias", new Shape(channels), Init.Zeros);
    }

    /// <summary>γ.</summary>
    public Parameter Weight { get; }

    /// <summary>β.</summary>
    public Parameter Bias { get; }

    /// <summary>(…, C) → (…, C).</summary>
    public Tensor Forward(Tensor x) => Ops.LayerNorm(x, Weight.Value, Bias.Value, _eps);

    /// <summary>Of x + dropout(a), in one pass: see <see cref="Ops.AddLayerNorm"/>.</summary>
    public Tensor ForwardAdd(Tensor x, Tensor a, float p = 0f, Philox random = default, Tensor? step = null) =>
        Ops.AddLayerNorm(x, a, Weight.Value, Bias.Value, _eps, p, random, step);
}
