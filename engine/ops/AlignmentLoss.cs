using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Alignment of pairs by absolute thresholds.                                       Wang et al. (ViTAA), ECCV 2020
//   forward   L = 1/N ΣᵢΣⱼ  same identity: log(1 + e^(−τp·(S−α))),  other: log(1 + e^(τn·(S−β))),  S = cos(vᵢ, tⱼ)
//   backward  dS = −τp·σ(−τp·(S−α)) or τn·σ(τn·(S−β)), over N
//   care      log(1+eᶻ) = max(z, 0) + log(1+e), e = e^−|z|: never overflows. log(1+e) = 2·artanh(e/(2+e)), whose argument is at
//             most ⅓: eight terms of its series are exact to F32, and small losses keep all their digits
//   cost      one exp for each of the N² scores; see Contrast for the rest
public static partial class Ops
{
    /// <summary>The alignment loss over all N² pairs, divided by N; a scalar in F32.</summary>
    /// <param name="images">Image embeddings (N, D), F32 or BF16, on a GPU also F16; any N, in memory O(N·D).</param>
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
    public (string Name, float A, float B, float C, float D) Cuda => ("Alignment", alpha, beta, positiveScale, negativeScale);

    public int Fields => 2;

    public float Scale => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add<V>(V cosine, V c, V match, ref V other, ref V same, ref V along, ref V alongSame, ref V square) where V : struct, IVector<V> =>
        other += LossAndSlope(cosine, match, out _);

    public ContrastNumbers Finish(in ContrastSums sums, float own) => new(sums.Other, 0, 0, 0, 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public V Slope<V>(V cosine, V match, V factor, V shift, V same, V other) where V : struct, IVector<V>
    {
        LossAndSlope(cosine, match, out var slope);
        return slope;
    }

    public double Row<V>(int i, float* cosines, int n, int* identities, float factor, out float dFactor) where V : struct, IVector<V>
    {
        dFactor = 0;
        return Overwrite<V>(new(this, cosines, identities, identities[i]), n);
    }

    /// <remarks>Of two copies of the loop's body: the six of <see cref="Loop.Sum"/> are more than the JIT inlines.</remarks>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static float Overwrite<V>(Pair pair, int n) where V : struct, IVector<V>
    {
        V sum = default;
        var j = 0;
        for (; j <= n - V.Count; j += V.Count) sum += pair.At<V>(j);
        Vec1 rest = default;
        for (; j < n; j++) rest += pair.At<Vec1>(j);
        return V.Sum(sum) + rest.Value;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private V LossAndSlope<V>(V cosine, V same, out V gradient) where V : struct, IVector<V>
    {
        var slope = V.Select(same, V.Create(-positiveScale), V.Create(negativeScale));
        var z = (cosine - V.Select(same, V.Create(alpha), V.Create(beta))) * slope;
        var e = VectorMath.ExpToZero(-V.Abs(z));
        var positive = V.Less(default, z);
        var one = V.Create(1f);
        gradient = slope * V.Select(positive, one, e) / (one + e);
        return V.Where(positive, z) + LogOnePlus(e);
    }

    /// <summary>log(1+e) for e in 0 … 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V LogOnePlus<V>(V e) where V : struct, IVector<V>
    {
        var s = e / (e + V.Create(2f));
        var z = s * s;
        var p = V.Fma(z, V.Create(2f / 15), V.Create(2f / 13));
        p = V.Fma(p, z, V.Create(2f / 11));
        p = V.Fma(p, z, V.Create(2f / 9));
        p = V.Fma(p, z, V.Create(2f / 7));
        p = V.Fma(p, z, V.Create(2f / 5));
        p = V.Fma(p, z, V.Create(2f / 3));
        return V.Fma(p * z, s, s + s);
    }

    /// <summary>The loss of a pair; overwrites its cosine with the gradient.</summary>
    private readonly struct Pair(AlignmentRow row, float* cosines, int* identities, int own)
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V At<V>(int j) where V : struct, IVector<V>
        {
            var same = V.SameBits(V.Load((float*)identities + j), V.Create(BitConverter.Int32BitsToSingle(own)));
            var loss = row.LossAndSlope(V.Load(cosines + j), same, out var gradient);
            gradient.Store(cosines + j);
            return loss;
        }
    }
}
