using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Instance contrast: each image against all texts and the other way round.         van den Oord et al., arXiv:1807.03748;
// symmetrical as in CLIP, arXiv:2103.00020.
//   forward   L = ½·(1/N Σᵢ −log softmax(s·C[i,·])ᵢ + the same of Cᵀ)
//   backward  dscore = (p − 1[j = i])/2N
//   cost      two exps for each of the 2N² scores; see Contrast for the rest
public static partial class Ops
{
    /// <summary>Symmetrical cross-entropy of scaled cosines, the mean of both directions; a scalar in F32.</summary>
    /// <param name="images">Image embeddings (N, D), F32 or BF16, on a GPU also F16; any N, in memory O(N·D).</param>
    /// <param name="texts">Text embeddings (N, D); row i is image i's only positive.</param>
    /// <param name="scale">Factor of the cosines, positive.</param>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or scale is not positive.</exception>
    public static Tensor InfoNce(Tensor images, Tensor texts, float scale = 50f)
    {
        Require.That(scale > 0, $"expected a positive scale, got {scale}");
        return Contrast.Loss(images, texts, null, new InstanceRow(scale), lengths: false, bothWays: true, nameof(InfoNce));
    }
}

file readonly unsafe struct InstanceRow(float scale) : IContrastRow
{
    public (string Name, float A, float B, float C, float D) Cuda => ("Instance", scale, 0, 0, 0);

    public int Fields => 3;

    public float Scale => scale;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add<V>(V cosine, V c, V match, ref V other, ref V same, ref V along, ref V alongSame, ref V square) where V : struct, IVector<V>
    {
        var e = VectorMath.ExpToZero(c);
        other += V.Select(match, default, e);
        same += V.Where(match, e);
    }

    // p − 1 of a pair that is almost certain would cancel; the rest of the row does not.
    public ContrastNumbers Finish(in ContrastSums sums, float own)
    {
        double total = (double)sums.Other + sums.Same, logSum = Math.Log(total);
        return new(0.5 * (logSum - ((double)own - sums.Top)), (float)(sums.Top + logSum), (float)(-0.5 * sums.Other / total), 0, 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public V Slope<V>(V cosine, V match, V factor, V shift, V same, V other) where V : struct, IVector<V> =>
        factor * V.Select(match, same, V.Create(0.5f) * VectorMath.ExpToZero(V.Fma(cosine, factor, -shift)));

    public double Row<V>(int i, float* cosines, int n, int* identities, float factor, out float dFactor) where V : struct, IVector<V>
    {
        var top = scale * Rows.Max<V, F32>((F32*)cosines, n);
        var own = MathF.FusedMultiplyAdd(scale, cosines[i], -top);
        var total = SoftmaxRows.ExpSum<V, F32>((F32*)cosines, n, top, scale);
        Loop.Run<V, Gradient>(new(cosines, scale, top, 0.5f * scale / total), 0, n);
        // p − 1 of a pair that is almost certain would cancel; the rest of the row does not.
        cosines[i] = 0;
        cosines[i] = -Rows.Sum<V, F32>((F32*)cosines, n);
        dFactor = 0;
        return 0.5 * (Math.Log(total) - own);
    }

    private readonly struct Gradient(float* cosines, float scale, float top, float weight) : ILoop
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long j) where V : struct, IVector<V>
        {
            var score = V.Fma(V.Load(cosines + j), V.Create(scale), V.Create(-top));
            (VectorMath.ExpToZero(score) * V.Create(weight)).Store(cosines + j);
        }
    }
}
