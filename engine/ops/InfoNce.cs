using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Plip.Engine;

// Instance contrast: each image against all texts and the other way round.         van den Oord et al., arXiv:1807.03748;
// symmetrical as in CLIP, arXiv:2103.00020.
//   forward   L = ½·(1/N Σᵢ −log softmax(s·C[i,·])ᵢ + the same of Cᵀ)
//   backward  dscore = (p − 1[j = i])/2N
public static partial class Ops
{
    /// <summary>Symmetrical cross-entropy of scaled cosines, the mean of both directions; a scalar. F32.</summary>
    /// <param name="images">Image embeddings (N, D).</param>
    /// <param name="texts">Text embeddings (N, D); row i is image i's only positive.</param>
    /// <param name="scale">Factor of the cosines, positive.</param>
    /// <exception cref="ArgumentException">Shapes do not fit, or scale is not positive.</exception>
    public static Tensor InfoNce(Tensor images, Tensor texts, float scale = 50f)
    {
        Require.That(scale > 0, $"expected a positive scale, got {scale}");
        return Contrast.Loss(images, texts, null, new InstanceRow(scale), lengths: false, bothWays: true, nameof(InfoNce));
    }
}

file readonly unsafe struct InstanceRow(float scale) : IContrastRow
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public double Row(int i, float* cosines, int n, int* identities, float factor, out float dFactor)
    {
        var s = scale;
        var top = s * Simd.Max(cosines, n);
        var own = s * cosines[i];
        Vector512<float> sum = default;
        for (var j = 0; j < n; j += 16) sum += Exp(j);
        var total = Vector512.Sum(sum);
        var weight = 0.5f * s / total;
        for (var j = 0; j < n; j += 16) (Exp(j) * weight).Store(cosines + j);
        // p − 1 of a pair that is almost certain would cancel; the rest of the row does not.
        cosines[i] = 0;
        cosines[i] = -Simd.Sum(cosines, n);
        dFactor = 0;
        return 0.5 * (Math.Log(total) + ((double)top - own));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        Vector512<float> Exp(int j) =>
            Vector512.BitwiseAnd(Simd.Exp(Vector512.Load(cosines + j) * s - Vector512.Create(top)), MatchingRow.There(j, n));
    }
}
