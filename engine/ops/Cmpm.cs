using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Plip.Engine;

/// <summary>How the true matching distribution q of <see cref="Ops.Cmpm"/> is made from y, which is 1 for the same identity.</summary>
public enum MatchNormalization
{
    /// <summary>q = y/Σy, a distribution: the paper's formula.</summary>
    Sum,

    /// <summary>q = y/√Σy², the L2 norm: what the authors' code does.</summary>
    L2Norm,
}

// Cross-modal projection matching: identity-based contrast.            Zhang and Lu, ECCV 2018
//   forward   p = softmax of the row's scores; L = 1/N Σᵢ Σⱼ pᵢⱼ·(log pᵢⱼ − log(qᵢⱼ+ε)), images to texts + texts to images
//             scores of vᵢ: scale·vᵢ·tⱼ/|tⱼ|, or scale·cos(vᵢ, tⱼ) when both sides are normalised
//   backward  f = log p − log(q+ε);  dscore = p·(f − Σ p·f)/N      (the derivative of p in log p sums to nothing)
//   saved     see Contrast
// Without normalisation training starts on a plateau near the loss of a uniform p; with it, a scale of 3 does not.
public static partial class Ops
{
    /// <summary>Cross-modal projection matching, both directions added; a scalar. F32.</summary>
    /// <param name="images">Image embeddings (N, D).</param>
    /// <param name="texts">Text embeddings (N, D); row i belongs to image i.</param>
    /// <param name="identities">Identity of each pair (N), I32.</param>
    /// <param name="normalizeBoth">Scores are scaled cosines; otherwise projections on the other side's unit vector, as in the paper.</param>
    /// <param name="scale">Factor of the scores, positive.</param>
    /// <param name="normalization">How q is made from the identities.</param>
    /// <param name="eps">Added to q inside the logarithm.</param>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or scale or eps is not positive.</exception>
    public static Tensor Cmpm(
        Tensor images, Tensor texts, Tensor identities, bool normalizeBoth = false, float scale = 1f,
        MatchNormalization normalization = MatchNormalization.Sum, float eps = 1e-8f)
    {
        Require.That(scale > 0 && eps > 0, $"expected a positive scale and eps, got {scale} and {eps}");
        var row = new MatchingRow(scale, normalization, eps);
        return Contrast.Loss(images, texts, identities, row, lengths: !normalizeBoth, bothWays: true, nameof(Cmpm));
    }
}

/// <summary>Σⱼ pⱼ·(log pⱼ − log(qⱼ+ε)): the divergence of a row's softmax from its identities.</summary>
internal readonly unsafe struct MatchingRow(float scale, MatchNormalization normalization, float eps) : IContrastRow
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public double Row(int i, float* cosines, int n, int* identities, float factor, out float dFactor)
    {
        var (s, own) = (scale * factor, Vector512.Create(identities[i]));
        var top = Vector512.Create(s * Simd.Max(cosines, n));
        Vector512<float> sum = default;
        var matches = 0;
        for (var j = 0; j < n; j += 16)
        {
            var there = There(j, n);
            sum += Vector512.BitwiseAnd(Simd.Exp(Vector512.Load(cosines + j) * s - top), there);
            var same = Vector512.BitwiseAnd(Vector512.Equals(Vector512.Load(identities + j), own), there.AsInt32());
            matches += System.Numerics.BitOperations.PopCount(same.ExtractMostSignificantBits());
        }
        var logSum = Vector512.Create((float)Math.Log(Vector512.Sum(sum)));
        var q = 1.0 / (normalization == MatchNormalization.Sum ? matches : Math.Sqrt(matches));
        var logSame = Vector512.Create((float)Math.Log(q + eps));
        var logOther = Vector512.Create((float)Math.Log(eps));

        Vector512<float> divergence = default;
        for (var j = 0; j < n; j += 16)
        {
            var (p, f) = Terms(j, n);
            divergence = Vector512.FusedMultiplyAdd(p, f, divergence);
        }
        var loss = Vector512.Sum(divergence);

        var mean = Vector512.Create(loss);
        Vector512<float> along = default;
        for (var j = 0; j < n; j += 16)
        {
            var (p, f) = Terms(j, n);
            var there = There(j, n);
            var d = p * (f - mean);
            along = Vector512.FusedMultiplyAdd(d, Vector512.BitwiseAnd(Vector512.Load(cosines + j), there), along);
            (d * s).Store(cosines + j);
        }
        dFactor = scale * Vector512.Sum(along);
        return loss;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        (Vector512<float> P, Vector512<float> F) Terms(int j, int n)
        {
            var there = There(j, n);
            var logP = Vector512.BitwiseAnd(Vector512.Load(cosines + j) * s - top - logSum, there);
            var p = Vector512.BitwiseAnd(Simd.Exp(logP), there);
            var same = Vector512.Equals(Vector512.Load(identities + j), own).AsSingle();
            return (p, logP - Vector512.ConditionalSelect(same, logSame, logOther));
        }
    }

    /// <summary>All bits set in the lanes j, j+1, … that are below n.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector512<float> There(int j, int n) =>
        Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(n - j)).AsSingle();
}
