using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Plip.Engine;

// Alignment of pairs by absolute thresholds.                                       Wang et al. (ViTAA), ECCV 2020
//   forward   L = 1/N ΣᵢΣⱼ  same identity: log(1 + e^(−τp·(S−α))),  other: log(1 + e^(τn·(S−β))),  S = cos(vᵢ, tⱼ)
//   backward  dS = −τp·σ(−τp·(S−α)) or τn·σ(τn·(S−β)), over N
//   care      log(1+eᶻ) = max(z, 0) + log1p(e^−|z|): never overflows, and small losses keep their digits
public static partial class Ops
{
    /// <summary>The alignment loss over all N² pairs, divided by N; a scalar. F32.</summary>
    /// <param name="images">Image embeddings (N, D).</param>
    /// <param name="texts">Text embeddings (N, D).</param>
    /// <param name="identities">Identity of each pair (N), I32.</param>
    /// <param name="alpha">Cosine above which a positive pair is good.</param>
    /// <param name="beta">Cosine below which a negative pair is good.</param>
    /// <param name="positiveScale">τp, sharpness for positive pairs.</param>
    /// <param name="negativeScale">τn, sharpness for negative pairs.</param>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or a scale is not positive.</exception>
    public static Tensor AlignmentLoss(
        Tensor images, Tensor texts, Tensor identities,
        float alpha = 0.6f, float beta = 0.4f, float positiveScale = 10f, float negativeScale = 40f)
    {
        Require.That(positiveScale > 0 && negativeScale > 0, $"expected positive scales, got {positiveScale} and {negativeScale}");
        var row = new AlignmentRow(alpha, beta, positiveScale, negativeScale);
        return Contrast.Loss(images, texts, identities, row, lengths: false, bothWays: false, nameof(AlignmentLoss));
    }
}

file readonly unsafe struct AlignmentRow(float alpha, float beta, float positiveScale, float negativeScale) : IContrastRow
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public double Row(int i, float* cosines, int n, int* identities, float factor, out float dFactor)
    {
        var own = Vector512.Create(identities[i]);
        var one = Vector512<float>.One;
        Vector512<float> loss = default;
        for (var j = 0; j < n; j += 16)
        {
            var same = Vector512.Equals(Vector512.Load(identities + j), own).AsSingle();
            var slope = Vector512.ConditionalSelect(same, Vector512.Create(-positiveScale), Vector512.Create(negativeScale));
            var margin = Vector512.ConditionalSelect(same, Vector512.Create(alpha), Vector512.Create(beta));
            var z = (Vector512.Load(cosines + j) - margin) * slope;
            var there = MatchingRow.There(j, n);
            var e = Simd.Exp(-Vector512.Abs(z));
            var u = one + e;
            // log1p: what 1 + e rounds away is put back by the ratio.
            var log = Vector512.ConditionalSelect(Vector512.Equals(u, one), e, Vector512.Log(u) * (e / (u - one)));
            loss += Vector512.BitwiseAnd(Vector512.Max(z, Vector512<float>.Zero) + log, there);
            var sigmoid = Vector512.ConditionalSelect(Vector512.GreaterThan(z, Vector512<float>.Zero), one, e) / u;
            Vector512.BitwiseAnd(slope * sigmoid, there).Store(cosines + j);
        }
        dFactor = 0;
        return Vector512.Sum(loss);
    }
}
