namespace Plip.Engine;

/// <summary>
/// The rungs below kernels/contrast_stream.cu: the loss of <see cref="Ops.InfoNce"/>, forward alone. The second is what the literature has for
/// large batches (Inf-CL, arXiv:2410.17243), so the benchmark sets ours beside it.
/// </summary>
internal static class ContrastLadder
{
    /// <summary>From the lowest.</summary>
    public static IReadOnlyList<Rung> Rungs { get; } =
    [
        new("contrast", 1, "contrast_1", "N×N products in memory, a softmax a line"),
        new("contrast", 2, "contrast_2", "tiles with an online log-sum-exp, one direction a call"),
    ];

    /// <summary>The loss as this rung computes it; a scalar without a gradient.</summary>
    /// <param name="rung">One of <see cref="Rungs"/>.</param>
    /// <param name="images">Image embeddings (N, D) on a GPU; F32, BF16 or F16 for the first rung, BF16 or F16 for the second.</param>
    /// <param name="texts">Text embeddings (N, D).</param>
    /// <param name="scale">Factor of the cosines.</param>
    public static Tensor Loss(Rung rung, Tensor images, Tensor texts, float scale)
    {
        var gpu = (CudaDevice)images.Device;
        var (n, d, type) = (images.Shape[0], images.Shape[1], images.DType);
        var y = Tensor.Empty(gpu, new Shape());
        using var size = gpu.Scratch(2L * n);
        var inverse = Tensor.Empty(gpu, new Shape(2, n));
        var (ofImages, ofTexts) = (inverse.View(new Shape(n)), inverse.View(new Shape(n), sizeof(float) * (long)n));
        ReadOnlySpan<Define> sides = [("TYPE", type), ("OWN", type)];
        gpu.Launch("contrast_sides", "contrast_sizes", sides, Launch.WarpPerRow(n), size, inverse, null, images, n, d, 0);
        gpu.Launch("contrast_sides", "contrast_sizes", sides, Launch.WarpPerRow(n), size, inverse, null, texts, n, d, n);
        var all = Tensor.Empty(gpu, new Shape(2, n));
        var (rows, columns) = (all.View(new Shape(n)), all.View(new Shape(n), sizeof(float) * (long)n));
        if (rung.Number == 1) Stored(gpu, rung, rows, columns, images, texts, ofImages, ofTexts, scale);
        else
        {
            OneWay(gpu, rung, rows, images, texts, ofImages, ofTexts, scale);
            OneWay(gpu, rung, columns, texts, images, ofTexts, ofImages, scale);
        }
        gpu.Launch("contrast", "contrast_total", [("ROW", "Instance")], Launch.Grid(1).Of(256), y, all, 2 * n, n);
        foreach (var t in (ReadOnlySpan<Tensor>)[ofImages, ofTexts, inverse, rows, columns, all]) t.Release();
        return y;
    }

    private static void Stored(CudaDevice gpu, Rung rung, Tensor rows, Tensor columns, Tensor images, Tensor texts, Tensor ofImages, Tensor ofTexts, float scale)
    {
        var (n, d) = (images.Shape[0], images.Shape[1]);
        var products = Tensor.Empty(gpu, new Shape(n, n));
        gpu.Gemm.Run(products, images, texts, false, true, n, n, d);
        gpu.Launch(rung.Source, "contrast_1_lines", [], Launch.BlockPerRow(n), rows, products, ofImages, ofTexts, n, (long)n, 1L, scale);
        gpu.Launch(rung.Source, "contrast_1_lines", [], Launch.BlockPerRow(n), columns, products, ofTexts, ofImages, n, 1L, (long)n, scale);
        products.Release();
    }

    private static void OneWay(CudaDevice gpu, Rung rung, Tensor losses, Tensor u, Tensor w, Tensor inverseU, Tensor inverseW, float scale)
    {
        const int side = 64, sharedBytes = 2 * side * (side + 8) * 2;
        gpu.Launch(
            rung.Source, "contrast_2_rows", [("TYPE", u.DType), ("PACK", Pack.Of(u.DType, u.Cols, u, w))],
            Launch.Grid(Launch.Blocks(u.Rows, side)).Of(128).Shared(sharedBytes), losses, u, w, inverseU, inverseW, u.Rows, u.Cols, scale);
    }
}
