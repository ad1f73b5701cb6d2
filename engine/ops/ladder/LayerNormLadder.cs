namespace Plip.Engine;

/// <summary>The rungs below <see cref="Ops.LayerNorm"/>, forward alone.</summary>
internal static class LayerNormLadder
{
    /// <summary>A thread a row, and a block a row; a warp a row, in registers, is what ships.</summary>
    public static IReadOnlyList<Rung> Rungs { get; } =
    [
        new("layer_norm", 1, "layer_norm_1", "a thread a row"),
        new("layer_norm", 2, "layer_norm_2", "a block a row: neighbours read neighbours"),
    ];

    /// <summary>A rung's result for x (…, C), γ and β (C), on a GPU; on the CPU the op's, to compare with.</summary>
    public static Tensor Run(Rung rung, Tensor x, Tensor gamma, Tensor beta, float eps = 1e-5f)
    {
        if (x.Device is not CudaDevice gpu) return Ops.LayerNorm(x, gamma, beta, eps);
        Require.LastDim(x, gamma, beta);
        var y = Tensor.Like(x);
        if (rung.Number == 1) gpu.Launch(rung.Source, "layer_norm_thread", [("TYPE", x.DType)], Launch.PerElement(x.Rows), y, x, gamma, beta, x.Rows, x.Cols, eps);
        else gpu.Launch(rung.Source, "layer_norm_block", [("TYPE", x.DType)], Launch.BlockPerRow(x.Rows), y, x, gamma, beta, x.Cols, eps);
        return y;
    }
}
