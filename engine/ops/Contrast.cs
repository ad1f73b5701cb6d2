namespace Plip.Engine;

/// <summary>
/// What a contrastive loss does with a row of cosines. The row's scores are scale·factor·cosine, where factor is 1 or the row embedding's length;
/// c is a score less the row's highest. Columns are rows of the transpose.
/// </summary>
internal unsafe interface IContrastRow
{
    /// <summary>The same as kernels/contrast.cu and contrast_stream.cu have it: its struct there, and the four numbers that it takes.</summary>
    (string Name, float A, float B, float C, float D) Cuda { get; }

    /// <summary>Sums that contrast_stream.cu keeps of a row.</summary>
    int Fields { get; }

    /// <summary>The factor of the scores; 1 where the loss is not one of a softmax.</summary>
    float Scale { get; }

    /// <summary>The loss of row i; overwrites its cosines with the gradient.</summary>
    /// <typeparam name="V">The device's vectors.</typeparam>
    /// <param name="i">The row; its pair stands in column i.</param>
    /// <param name="cosines">The row.</param>
    /// <param name="n">Number of columns.</param>
    /// <param name="identities">Identity of each row and column; null for losses without.</param>
    /// <param name="factor">The row embedding's length, or 1.</param>
    /// <param name="dFactor">Gradient of the row's loss by the factor.</param>
    double Row<V>(int i, float* cosines, int n, int* identities, float factor, out float dFactor) where V : struct, IVector<V>;

    /// <summary>Adds a pair to the sums of its row; they are those of <see cref="ContrastSums"/>, matches not among them.</summary>
    void Add<V>(V cosine, V c, V match, ref V other, ref V same, ref V along, ref V alongSame, ref V square) where V : struct, IVector<V>;

    /// <summary>The row's loss, and the numbers that <see cref="Slope"/> takes.</summary>
    /// <param name="sums">Of the whole row.</param>
    /// <param name="own">The score of the row's own pair.</param>
    ContrastNumbers Finish(in ContrastSums sums, float own);

    /// <summary>The gradient of the row's loss by a cosine.</summary>
    V Slope<V>(V cosine, V match, V factor, V shift, V same, V other) where V : struct, IVector<V>;
}

/// <summary>
/// What is known of a row's pairs when the highest score was taken off: Σ e^c over other identities and over the same, Σ c·e^c over all and over the same,
/// Σ c²·e^c, and how many have the same.
/// </summary>
internal record struct ContrastSums(float Top, float Other, float Same, float Along, float AlongSame, float Square, float Matches);

/// <summary>A row's loss; what its gradient takes; and its derivative by the scores' common factor, times that factor.</summary>
internal readonly record struct ContrastNumbers(double Loss, float Shift, float Same, float Other, double ByFactor);

/// <summary>How the pairs of a contrastive loss are worked through.</summary>
internal enum ContrastPath
{
    /// <summary>By size: see <see cref="Contrast"/>.</summary>
    BySize,

    /// <summary><see cref="ContrastStored"/>: N×N cosines in memory.</summary>
    Stored,

    /// <summary><see cref="ContrastStream"/>: never.</summary>
    Streamed,
}

/// <summary>The entry that the contrastive losses share: checks, and the choice of the path.</summary>
/// <remarks>
/// Stored cosines cost three products of N²·D in all, streamed ones four, so they are stored as long as N×N floats are O(N·D) themselves: up to
/// N = 4·D, where they take 16·N·D bytes (while they are turned, twice that) beside the 24·N·D of inputs, unit vectors and gradients. A GPU multiplies 16-bit embeddings ten times
/// as fast as the F32 unit vectors of the stored path: there streaming begins at 512, where it has 16 tiles.
/// </remarks>
internal static class Contrast
{
    private const int RowsPerWidth = 4, FewOnTensorCores = 512;

    [ThreadStatic] private static ContrastPath t_forced;
    [ThreadStatic] private static int t_parts;
    [ThreadStatic] private static long? t_mostSum;

    /// <summary>
    /// Parts that a GPU cuts the rows and the columns of a streamed loss into: 256 blocks of 256 threads, which an H200 runs at once. More would
    /// take more memory for their sums.
    /// </summary>
    public static int MostParts => t_parts > 0 ? t_parts : 16;

    /// <summary>
    /// Bytes that the columns' F32 sum of a streamed loss of 16-bit embeddings may take; beyond, the columns' gradient is gathered by a pass of its own, whose products
    /// are a quarter more work in all. 262,144 pairs × 512 still have theirs; × 768 it would be the difference between 1.9 GB and 2.7.
    /// </summary>
    public static long MostSum => t_mostSum ?? 640_000_000;

    /// <summary>Every loss of this thread takes this path, so many parts and so large a sum, until the scope is disposed: for tests and cases, whose batches are small.</summary>
    public static Forcing Force(ContrastPath path, int parts = 0, long? mostSum = null)
    {
        (t_forced, t_parts, t_mostSum) = (path, parts, mostSum);
        return default;
    }

    public static Tensor Loss<TRow>(Tensor images, Tensor texts, Tensor? identities, TRow row, bool lengths, bool bothWays, string op)
        where TRow : struct, IContrastRow
    {
        Require.Rank(images, 2, "image embeddings (N, D)", op);
        Require.That(images.Shape == texts.Shape, $"expected as many texts as images and the same width, got {images.Shape} and {texts.Shape}", op);
        Require.That(images.DType.IsFloat(), $"expected embeddings of a float type, got {images}", op);
        Require.Type(texts, images.DType, op);
        Require.That(images.Shape[0] > 0, "expected at least one pair", op);
        if (identities != null)
        {
            Require.Type(identities, DType.I32, op);
            Require.That(identities.Count == images.Shape[0], $"expected {images.Shape[0]} identities, got {identities.Shape}", op);
        }
        return IsStored(images)
            ? ContrastStored.Loss(images, texts, identities, row, lengths, bothWays, op)
            : ContrastStream.Loss(images, texts, identities, row, lengths, bothWays, op);
    }

    private static bool IsStored(Tensor x)
    {
        if (t_forced != ContrastPath.BySize) return t_forced == ContrastPath.Stored;
        var most = (long)RowsPerWidth * x.Shape[1];
        return x.Shape[0] <= (x.Device is CudaDevice && x.DType != DType.F32 ? Math.Min(most, FewOnTensorCores) : most);
    }

    /// <summary>The scope of <see cref="Force"/>.</summary>
    public readonly ref struct Forcing
    {
        /// <summary>Back to the choice by size.</summary>
        public void Dispose() => (t_forced, t_parts, t_mostSum) = (ContrastPath.BySize, 0, null);
    }
}
