namespace Plip.Engine;

// Similarity distribution matching.                        Jiang and Ye (IRRA), CVPR 2023
//   forward   p = softmax(cos/τ) by rows, q = y/Σy;  L = 1/N ΣΣ p·(log p − log(q+ε)), images to texts + texts to images
//   backward  as CMPM, whose form with both sides normalised this is at 1/τ = 50
public static partial class Ops
{
    /// <summary>Similarity distribution matching, both directions added; a scalar in F32.</summary>
    /// <param name="images">Image embeddings (N, D), F32 or BF16, on a GPU also F16; any N, in memory O(N·D).</param>
    /// <param name="texts">Text embeddings (N, D); row i belongs to image i.</param>
    /// <param name="identities">Identity of each pair (N), I32.</param>
    /// <param name="scale">1/τ, the factor of the cosines, positive.</param>
    /// <param name="eps">Added to q inside the logarithm.</param>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or scale or eps is not positive.</exception>
    public static Tensor Sdm(Tensor images, Tensor texts, Tensor identities, float scale = 50f, float eps = 1e-8f)
    {
        Require.That(scale > 0 && eps > 0, $"expected a positive scale and eps, got {scale} and {eps}");
        var row = new MatchingRow(scale, MatchNormalization.Sum, eps);
        return Contrast.Loss(images, texts, identities, row, lengths: false, bothWays: true, nameof(Sdm));
    }
}
