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
//   cost      three exps for each of the 2N² scores; see Contrast for the rest
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
    public double Row<V>(int i, float* cosines, int n, int* identities, float factor, out float dFactor) where V : struct, IVector<V>
    {
        var s = scale * factor;
        var top = s * Rows.Max<V, F32>((F32*)cosines, n);
        var logSum = (float)Math.Log(SoftmaxRows.ExpSum<V, F32>((F32*)cosines, n, top, s));
        double matches = Loop.Sum<V, Match>(new(identities, identities[i]), n);
        var q = 1.0 / (normalization == MatchNormalization.Sum ? matches : Math.Sqrt(matches));
        var terms = new Terms(cosines, s, top, logSum, identities, identities[i], (float)Math.Log(q + eps), (float)Math.Log(eps));
        var loss = Loop.Sum<V, Divergence>(new(terms), n);
        dFactor = scale * Loop.Sum<V, Gradient>(new(terms, cosines, s, loss), n);
        return loss;
    }

    private readonly struct Match(int* identities, int own) : ITerm
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V At<V>(long j) where V : struct, IVector<V> =>
            V.Where(V.SameBits(V.Load((float*)identities + j), V.Create(BitConverter.Int32BitsToSingle(own))), V.Create(1f));
    }

    private readonly struct Terms(float* cosines, float scale, float top, float logSum, int* identities, int own, float logSame, float logOther)
    {
        /// <summary>p and f = log p − log(q+ε).</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V At<V>(long j, out V f) where V : struct, IVector<V>
        {
            var logP = V.Fma(V.Load(cosines + j), V.Create(scale), V.Create(-top)) - V.Create(logSum);
            var same = V.SameBits(V.Load((float*)identities + j), V.Create(BitConverter.Int32BitsToSingle(own)));
            f = logP - V.Select(same, V.Create(logSame), V.Create(logOther));
            return VectorMath.ExpToZero(logP);
        }
    }

    private readonly struct Divergence(Terms terms) : ITerm
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V At<V>(long j) where V : struct, IVector<V>
        {
            var p = terms.At<V>(j, out var f);
            return p * f;
        }
    }

    /// <summary>Overwrites a cosine with its gradient; the term is the gradient along the row's scale.</summary>
    private readonly struct Gradient(Terms terms, float* cosines, float scale, float mean) : ITerm
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V At<V>(long j) where V : struct, IVector<V>
        {
            var p = terms.At<V>(j, out var f);
            var d = p * (f - V.Create(mean));
            var along = d * V.Load(cosines + j);
            (d * V.Create(scale)).Store(cosines + j);
            return along;
        }
    }
}
