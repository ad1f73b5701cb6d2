using System.Runtime.CompilerServices;

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
//   cost      two exps for each of the 2N² scores; see Contrast for the rest
// Without normalisation training starts on a plateau near the loss of a uniform p; with it, a scale of 3 does not.
public static partial class Ops
{
    /// <summary>Cross-modal projection matching, both directions added; a scalar in F32.</summary>
    /// <param name="images">Image embeddings (N, D), F32 or BF16, on a GPU also F16; any N, in memory O(N·D).</param>
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
    public (string Name, float A, float B, float C, float D) Cuda => ("Matching", scale, eps, normalization == MatchNormalization.Sum ? 0 : 1, 0);

    /// <inheritdoc/>
    public int Fields => 7;

    /// <inheritdoc/>
    public float Scale => scale;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add<V>(V cosine, V c, V match, ref V other, ref V same, ref V along, ref V alongSame, ref V square) where V : struct, IVector<V>
    {
        var e = VectorMath.ExpToZero(c);
        var ec = e * c;
        other += V.Select(match, default, e);
        same += V.Where(match, e);
        along += ec;
        alongSame += V.Where(match, ec);
        square = V.Fma(ec, c, square);
    }

    /// <inheritdoc/>
    public ContrastNumbers Finish(in ContrastSums sums, float own)
    {
        var q = 1.0 / (normalization == MatchNormalization.Sum ? sums.Matches : Math.Sqrt(sums.Matches));
        double logSame = Math.Log(q + eps), logOther = Math.Log(eps), total = (double)sums.Other + sums.Same, logSum = Math.Log(total);
        var loss = (sums.Along - sums.Same * logSame - sums.Other * logOther) / total - logSum;
        double same = logSame + loss, other = logOther + loss;
        // Scores' gradients sum to nothing, so the sum of them times score is that of them times c.
        var byScore = (sums.Square - (same + logSum) * sums.AlongSame - (other + logSum) * ((double)sums.Along - sums.AlongSame)) / total;
        return new(loss, (float)(sums.Top + logSum), (float)same, (float)other, byScore);
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public V Slope<V>(V cosine, V match, V factor, V shift, V same, V other) where V : struct, IVector<V>
    {
        var logP = V.Fma(cosine, factor, -shift);
        return factor * VectorMath.ExpToZero(logP) * (logP - V.Select(match, same, other));
    }

    /// <inheritdoc/>
    public double Row<V>(int i, float* cosines, int n, int* identities, float factor, out float dFactor) where V : struct, IVector<V>
    {
        var (s, own) = (scale * factor, identities[i]);
        var top = s * Rows.Max<V, F32>((F32*)cosines, n);
        // With e = e^(score − top): L = Σ e·(score − top − log(q+ε))/Σe − log Σe, and q has but two values.
        var (sum, along, same, matches) = Sums<V>(cosines, identities, n, s, top, own);
        var q = 1.0 / (normalization == MatchNormalization.Sum ? matches : Math.Sqrt(matches));
        double logSame = Math.Log(q + eps), logOther = Math.Log(eps), logSum = Math.Log((double)sum + same);
        var loss = (along - same * logSame - sum * logOther) / ((double)sum + same) - logSum;
        dFactor = scale * Overwrite<V>(
            new(cosines, identities, own, s, top, (float)(logSum + logSame + loss), (float)(logSum + logOther + loss), 1f / (sum + same)), n);
        return loss;
    }

    /// <summary>Σ e over the other identities, Σ e·(score − top) over all, Σ e over the same identity, and how many those are.</summary>
    private static (float Other, float Along, float Same, float Matches) Sums<V>(float* cosines, int* identities, int n, float scale, float top, int own)
        where V : struct, IVector<V>
    {
        V other = default, along = default, same = default, matches = default;
        var j = 0;
        for (; j <= n - V.Count; j += V.Count) Accumulate(j, cosines, identities, scale, top, own, ref other, ref along, ref same, ref matches);
        Vec1 other1 = default, along1 = default, same1 = default, matches1 = default;
        for (; j < n; j++) Accumulate(j, cosines, identities, scale, top, own, ref other1, ref along1, ref same1, ref matches1);
        return (V.Sum(other) + other1.Value, V.Sum(along) + along1.Value, V.Sum(same) + same1.Value, V.Sum(matches) + matches1.Value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Accumulate<V>(
        int j, float* cosines, int* identities, float scale, float top, int own, ref V other, ref V along, ref V same, ref V matches)
        where V : struct, IVector<V>
    {
        var centred = V.Fma(V.Load(cosines + j), V.Create(scale), V.Create(-top));
        var e = VectorMath.ExpToZero(centred);
        var match = V.SameBits(V.Load((float*)identities + j), V.Create(BitConverter.Int32BitsToSingle(own)));
        along = V.Fma(e, centred, along);
        other += V.Select(match, default, e);
        same += V.Where(match, e);
        matches += V.Where(match, V.Create(1f));
    }

    /// <remarks>A method of its own, for the reason that <see cref="SoftmaxRows.ExpSum"/> gives.</remarks>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static float Overwrite<V>(Gradient gradient, int n) where V : struct, IVector<V> => Loop.Sum<V, Gradient>(gradient, n);

    /// <summary>Overwrites a cosine with its gradient; the term is the gradient along the row's scale.</summary>
    private readonly struct Gradient(
        float* cosines, int* identities, int own, float scale, float top, float meanSame, float meanOther, float weight) : ITerm
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V At<V>(long j) where V : struct, IVector<V>
        {
            var cosine = V.Load(cosines + j);
            var centred = V.Fma(cosine, V.Create(scale), V.Create(-top));
            var match = V.SameBits(V.Load((float*)identities + j), V.Create(BitConverter.Int32BitsToSingle(own)));
            var f = centred - V.Select(match, V.Create(meanSame), V.Create(meanOther));
            var d = VectorMath.ExpToZero(centred) * V.Create(weight) * f;
            (d * V.Create(scale)).Store(cosines + j);
            return d * cosine;
        }
    }
}
