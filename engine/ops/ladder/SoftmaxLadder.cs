namespace Plip.Engine;

/// <summary>The rungs below <see cref="Ops.Softmax"/>, forward alone.</summary>
internal static class SoftmaxLadder
{
    /// <summary>Three walks along a row, then two; one, with the row in registers, is what ships.</summary>
    public static IReadOnlyList<Rung> Rungs { get; } =
    [
        new("softmax", 1, "softmax_1", "maximum, sum, result: three walks"),
        new("softmax", 2, "softmax_2", "maximum and sum in one walk, online"),
    ];

    /// <summary>A rung's result for x, on a GPU; on the CPU the op's, to compare with.</summary>
    public static Tensor Run(Rung rung, Tensor x)
    {
        if (x.Device is not CudaDevice gpu) return Ops.Softmax(x);
        var y = Tensor.Like(x);
        gpu.Launch(
            rung.Source, rung.Number == 1 ? "softmax_three_walks" : "softmax_online", [("TYPE", x.DType)], Launch.WarpPerRow(x.Rows), y, x, x.Rows, x.Cols);
        return y;
    }
}
