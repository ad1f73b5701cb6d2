using System.Buffers;
using Plip.Engine;

namespace Plip.Data;

/// <summary>How batches are drawn.</summary>
public enum BatchKind
{
    /// <summary>Images in random order, each once an epoch (the default; better than P × K at small scale).</summary>
    Random,

    /// <summary>P identities by K images.</summary>
    PxK,

    /// <summary>
    /// Images in random order within blocks of neighbouring identities, each once an epoch: what shards on a network disk want.
    /// </summary>
    Blocks,
}

/// <summary>One sample: an image of the data set and one of its texts.</summary>
/// <param name="Image">Index into <see cref="PersonDataset.Images"/>.</param>
/// <param name="Caption">Index for <see cref="PersonImage.Text"/>.</param>
public readonly record struct SamplePair(int Image, int Caption);

/// <summary>
/// The order of epoch e as a pure function of (seed, e), so that training resumes anywhere without having saved anything.
/// An image has one random text per epoch. The last, incomplete batch is dropped.
/// </summary>
/// <remarks>
/// P × K: the identities are shuffled again and again, P taken at a time (a remainder below P is left out until the next
/// shuffle, so a batch never holds an identity twice); at its n-th visit an identity gives the next K of its images in an
/// order shuffled per epoch, going round where it has fewer. An epoch has as many batches as with random order, but
/// images of rare identities are seen more often and those of frequent ones less.
/// Blocks: see <see cref="BlockOrder"/>.
/// </remarks>
public sealed class IdentityBatchSampler
{
    private readonly PersonDataset data;
    private readonly ulong seed;
    private readonly int imagesPerIdentity;
    private readonly Lazy<(int[] Images, int[] Start)> groups;
    private readonly BlockOrder? blocks;

    /// <summary>Makes a sampler.</summary>
    /// <param name="data">The training images.</param>
    /// <param name="batchSize">Pairs in a batch.</param>
    /// <param name="seed">Seed of the run.</param>
    /// <param name="kind">Random, P × K, or Blocks.</param>
    /// <param name="imagesPerIdentity">K of P × K; divides the batch size. Others ignore it.</param>
    /// <param name="blockSize">Images of a block, about. Blocks only.</param>
    /// <param name="openBlocks">Blocks whose images are mixed. Blocks only.</param>
    /// <exception cref="DataException">The batch is larger than the data.</exception>
    public IdentityBatchSampler(PersonDataset data, int batchSize, ulong seed, BatchKind kind = BatchKind.Random, int imagesPerIdentity = 4,
        int blockSize = DefaultBlockSize, int openBlocks = DefaultOpenBlocks)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batchSize);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(imagesPerIdentity);
        if (batchSize > data.Images.Count)
            throw new DataException(data.AnnotationFile, null, $"{data.Name} has {data.Images.Count} images, fewer than one batch of {batchSize}",
                "a batch no larger than the data: make it smaller or add images");
        if (kind == BatchKind.PxK)
        {
            if (batchSize % imagesPerIdentity != 0)
                throw new ArgumentException($"a batch of {batchSize} is no multiple of K = {imagesPerIdentity}", nameof(imagesPerIdentity));
            var wanted = batchSize / imagesPerIdentity;
            if (wanted > data.Identities.Length)
                throw new DataException(data.AnnotationFile, null, $"{data.Name} has {data.Identities.Length} identities, fewer than the {wanted} of one P x K batch",
                    "P no larger than the number of identities: a smaller batch or a larger K");
        }
        (this.data, this.seed, this.imagesPerIdentity) = (data, seed, imagesPerIdentity);
        (BatchSize, Kind, BatchesPerEpoch) = (batchSize, kind, data.Images.Count / batchSize);
        groups = new(GroupByIdentity);
        blocks = kind == BatchKind.Blocks ? new BlockOrder(data.Images, blockSize, openBlocks) : null;
    }

    /// <summary>Images of a block, if nothing else is asked for.</summary>
    public const int DefaultBlockSize = 1024;

    /// <summary>Blocks whose images are mixed, if nothing else is asked for.</summary>
    public const int DefaultOpenBlocks = 16;

    /// <summary>The blocks, with that kind; else null.</summary>
    internal BlockOrder? Blocks => blocks;

    /// <summary>Pairs in a batch.</summary>
    public int BatchSize { get; }

    /// <summary>How batches are drawn.</summary>
    public BatchKind Kind { get; }

    /// <summary>Whole batches in an epoch, the same in every epoch.</summary>
    public int BatchesPerEpoch { get; }

    /// <summary>The whole epoch: BatchesPerEpoch · BatchSize pairs, batch after batch. Costs some 50 ns an image.</summary>
    public SamplePair[] Epoch(int epoch)
    {
        var pairs = new SamplePair[BatchesPerEpoch * BatchSize];
        Fill(epoch, pairs);
        return pairs;
    }

    /// <summary>As <see cref="Epoch"/>, into an array of that length: an epoch of a large data set leaves no garbage.</summary>
    internal void Fill(int epoch, SamplePair[] pairs)
    {
        var captions = RandomStreams.Caption(seed, epoch);
        var images = ArrayPool<int>.Shared.Rent(data.Images.Count);
        if (blocks != null) blocks.Fill(seed, epoch, images.AsSpan(0, data.Images.Count));
        else if (Kind == BatchKind.Random) RandomOrder(epoch, images.AsSpan(0, data.Images.Count));
        else IdentityOrder(epoch, images.AsSpan(0, pairs.Length));
        for (var i = 0; i < pairs.Length; i++)
        {
            var texts = data.Images[images[i]].TextCount;
            pairs[i] = new(images[i], texts < 2 ? 0 : captions.Next((ulong)images[i], texts));
        }
        ArrayPool<int>.Shared.Return(images);
    }

    private void RandomOrder(int epoch, Span<int> order)
    {
        for (var i = 0; i < order.Length; i++) order[i] = i;
        RandomStreams.Order(seed, epoch).Shuffle(order, 0);
    }

    private void IdentityOrder(int epoch, Span<int> order)
    {
        var (grouped, start) = groups.Value;
        var identities = start.Length - 1;
        var perBatch = BatchSize / imagesPerIdentity;
        var memory = ArrayPool<int>.Shared.Rent(grouped.Length + identities);
        var images = memory.AsSpan(0, grouped.Length);
        var walk = memory.AsSpan(grouped.Length, identities);
        grouped.CopyTo(images);
        var within = RandomStreams.WithinIdentity(seed, epoch);
        for (var p = 0; p < identities; p++)
            within.Shuffle(images[start[p]..start[p + 1]], (ulong)start[p]);
        for (var p = 0; p < identities; p++) walk[p] = p;
        var random = RandomStreams.Order(seed, epoch);
        var (batchesPerVisit, filled) = (identities / perBatch, 0);
        for (var batch = 0; batch < BatchesPerEpoch; batch++)
        {
            var visit = batch / batchesPerVisit;
            if (batch % batchesPerVisit == 0) random.Shuffle(walk, (ulong)visit * (ulong)identities);
            for (var p = 0; p < perBatch; p++)
            {
                var person = walk[batch % batchesPerVisit * perBatch + p];
                var own = start[person + 1] - start[person];
                for (var k = 0; k < imagesPerIdentity; k++)
                    order[filled++] = images[start[person] + (int)(((long)visit * imagesPerIdentity + k) % own)];
            }
        }
        ArrayPool<int>.Shared.Return(memory);
    }

    /// <summary>Image indices ordered by label (a counting sort), and where each label starts.</summary>
    private (int[] Images, int[] Start) GroupByIdentity()
    {
        var labels = data.Labels;
        var start = new int[data.Identities.Length + 1];
        foreach (var label in labels) start[label + 1]++;
        for (var i = 1; i < start.Length; i++) start[i] += start[i - 1];
        var next = start[..^1];
        var images = new int[labels.Length];
        for (var i = 0; i < labels.Length; i++) images[next[labels[i]]++] = i;
        return (images, start);
    }
}
