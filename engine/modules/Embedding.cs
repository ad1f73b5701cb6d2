namespace Plip.Engine;

/// <summary>A table of rows looked up by id. Parameter: weight (V, C).</summary>
public sealed class Embedding : Module
{
    /// <summary>A table of <paramref name="count"/> rows; it starts at BERT's normal(0.02) unless told otherwise.</summary>
    public Embedding(int count, int width, Init? init = null) =>
        Weight = Param("weight", new Shape(count, width), init ?? Init.Normal(0.02f));

    /// <summary>(V, C).</summary>
    public Parameter Weight { get; }

    /// <summary>I32 ids (T) → rows (T, C).</summary>
    public Tensor Forward(Tensor ids) => Ops.Embedding(Weight.Compute, ids);
}
