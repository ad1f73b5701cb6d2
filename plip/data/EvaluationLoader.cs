using System.Buffers;

namespace Plip.Data;

/// <summary>
/// Pictures of an evaluation, some at a time, in the data set's order. The arrays are used again by the next chunk but one, and
/// by others when the enumeration ends: a validation after every epoch leaves no large arrays behind.
/// </summary>
public sealed class PictureChunk
{
    internal PictureChunk(int capacity, int imageSize) => (Images, Identities) = (ArrayPool<float>.Shared.Rent(checked(capacity * imageSize)), ArrayPool<int>.Shared.Rent(capacity));

    internal void Return()
    {
        ArrayPool<float>.Shared.Return(Images);
        ArrayPool<int>.Shared.Return(Identities);
    }

    /// <summary>Index of the first picture in <see cref="PersonDataset.Images"/>.</summary>
    public int Start { get; internal set; }

    /// <summary>Number of pictures; less than the chunk size only at the end.</summary>
    public int Count { get; internal set; }

    /// <summary>Normalised pictures, (Count, H, W, 3); the array may be longer.</summary>
    public float[] Images { get; }

    /// <summary>Original identities, (Count); the array may be longer.</summary>
    public int[] Identities { get; }
}

/// <summary>Captions of an evaluation, some at a time, packed. Arrays of their own size, not used again.</summary>
/// <param name="Start">Index of the first caption, counting all captions of all images in order.</param>
/// <param name="TokenIds">Packed ids.</param>
/// <param name="CuSeqlens">Where each caption starts, (Count + 1).</param>
/// <param name="Identities">Original identity of each caption.</param>
/// <param name="ImageIndices">The image each caption was written for.</param>
/// <param name="Captions">The captions as written.</param>
public sealed record TextChunk(int Start, int[] TokenIds, int[] CuSeqlens, int[] Identities, int[] ImageIndices, string[] Captions)
{
    /// <summary>Number of captions.</summary>
    public int Count => Captions.Length;
}

/// <summary>
/// Streams a split for evaluation: every picture and every written caption (prompt captions are no queries), in order,
/// without augmentation. The next chunk is decoded while the consumer works on this one.
/// </summary>
public sealed class EvaluationLoader
{
    private readonly PersonDataset data;
    private readonly ICaptionEncoder encoder;
    private readonly ImageTransform transform;
    private readonly int maxTokens, workers;

    /// <summary>Prepares a loader; nothing is read yet.</summary>
    /// <param name="data">The images, usually one split.</param>
    /// <param name="encoder">Captions to tokens.</param>
    /// <param name="image">Size and normalisation; flip and shift are not applied.</param>
    /// <param name="maxTokens">Most tokens of a caption.</param>
    /// <param name="workers">Threads that decode.</param>
    public EvaluationLoader(PersonDataset data, ICaptionEncoder encoder, ImageSettings image, int maxTokens = 64, int workers = 1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, 3);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(workers);
        (this.data, this.encoder, this.maxTokens, this.workers) = (data, encoder, maxTokens, workers);
        transform = new ImageTransform(image);
    }

    /// <summary>Number of written captions.</summary>
    public int CaptionCount => data.Images.Sum(i => i.Captions.Length);

    /// <summary>All pictures in chunks of <paramref name="size"/>.</summary>
    /// <exception cref="DataException">A picture is missing or broken (while enumerating); names file and entry.</exception>
    public IEnumerable<PictureChunk> Pictures(int size, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size);
        return Stream(Math.Min(size, data.Images.Count));

        IEnumerable<PictureChunk> Stream(int capacity)
        {
            var (current, next) = (new PictureChunk(capacity, transform.Size), new PictureChunk(capacity, transform.Size));
            var loading = Task.Run(() => Fill(current, 0, capacity, cancellation), cancellation);
            try
            {
                for (var start = 0; start < data.Images.Count; start += capacity)
                {
                    loading.GetAwaiter().GetResult();
                    var (following, target) = (start + capacity, next);
                    if (following < data.Images.Count)
                        loading = Task.Run(() => Fill(target, following, capacity, cancellation), cancellation);
                    yield return current;
                    (current, next) = (next, current);
                }
            }
            finally
            {
                ((IAsyncResult)loading).AsyncWaitHandle.WaitOne(); // an early break must not leave a thread behind
                current.Return();
                next.Return();
            }
        }
    }

    /// <summary>All written captions in chunks of <paramref name="size"/>, image after image.</summary>
    /// <exception cref="DataException">A caption is empty (while enumerating).</exception>
    public IEnumerable<TextChunk> Texts(int size)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size);
        return Stream();

        IEnumerable<TextChunk> Stream()
        {
            var start = 0;
            foreach (var chunk in Queries().Chunk(size))
            {
                List<int> ids = [], starts = [0];
                foreach (var (image, caption) in chunk)
                {
                    if (string.IsNullOrWhiteSpace(caption))
                        throw new DataException(data.AnnotationFile, BatchFiller.Place(data, data.Images[image]), "a caption is empty", "a sentence to search with");
                    ids.AddRange(encoder.Encode(caption, maxTokens));
                    starts.Add(ids.Count);
                }
                yield return new TextChunk(start, [.. ids], [.. starts], [.. chunk.Select(q => data.Images[q.Image].Identity)],
                    [.. chunk.Select(q => q.Image)], [.. chunk.Select(q => q.Caption)]);
                start += chunk.Length;
            }
        }
    }

    private IEnumerable<(int Image, string Caption)> Queries()
    {
        for (var i = 0; i < data.Images.Count; i++)
            foreach (var caption in data.Images[i].Captions)
                yield return (i, caption);
    }

    private void Fill(PictureChunk chunk, int start, int capacity, CancellationToken cancellation)
    {
        (chunk.Start, chunk.Count) = (start, Math.Min(capacity, data.Images.Count - start));
        // The lowest failing picture is the one reported, whichever thread was first.
        var failed = (Index: int.MaxValue, Error: (DataException?)null);
        var gate = new Lock();
        Parallel.For(0, chunk.Count, new ParallelOptions { MaxDegreeOfParallelism = workers, CancellationToken = cancellation }, i =>
        {
            try
            {
                chunk.Identities[i] = data.Images[start + i].Identity;
                using var picture = BatchFiller.LoadPicture(data, start + i);
                transform.Apply(picture, default, chunk.Images.AsSpan(i * transform.Size, transform.Size));
            }
            catch (DataException e)
            {
                lock (gate)
                    if (i < failed.Index) failed = (i, e);
            }
        });
        if (failed.Error is not null) throw failed.Error;
    }
}
