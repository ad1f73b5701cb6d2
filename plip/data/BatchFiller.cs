using System.Buffers;
using Plip.Engine;

namespace Plip.Data;

/// <summary>
/// Makes the batch of a step: decode, augment, encode. Everything in it is a function of (data, settings, step), so it
/// does not matter which thread calls, or when. Thread-safe.
/// </summary>
internal sealed class BatchFiller : IDisposable
{
    private readonly PersonDataset data;
    private readonly ICaptionEncoder encoder;
    private readonly BatchSettings settings;
    private readonly Func<long, float> maskProbability;
    private readonly ImageTransform transform;
    private readonly PictureCache cache;
    private readonly BlockReader? blocks; // null where pictures are files, or their order is not in blocks
    private readonly Lock epochLock = new();
    // Two epochs are held: workers stand in the next while the last batches of this one are made.
    private (int Epoch, SamplePair[] Pairs) newest, older;

    internal BatchFiller(PersonDataset data, ICaptionEncoder encoder, BatchSettings settings, Func<long, float> maskProbability)
    {
        settings.Require();
        (this.data, this.encoder, this.settings, this.maskProbability) = (Trainable(data, settings.UsePromptCaptions), encoder, settings, maskProbability);
        transform = new ImageTransform(settings.Image);
        Sampler = new IdentityBatchSampler(this.data, settings.BatchSize, settings.Seed, settings.Kind, settings.ImagesPerIdentity, settings.BlockSize, settings.OpenBlocks);
        blocks = Sampler.Blocks is { } order && this.data.Images.Any(i => i.Shard != null) ? new BlockReader(this.data, order, settings.Seed) : null;
        cache = new PictureCache(data.Images.Count, transform.Size, settings.CacheBytes);
        newest = older = (-1, []);
        _ = this.data.Labels; // computed here, once, rather than by the first worker
    }

    internal IdentityBatchSampler Sampler { get; }

    internal int ImageSize => transform.Size;

    /// <summary>Fills <paramref name="batch"/> for <paramref name="step"/>; <paramref name="stop"/> is looked at between pictures.</summary>
    internal void Fill(Batch batch, long step, CancellationToken stop)
    {
        var (epoch, index) = ((int)(step / Sampler.BatchesPerEpoch), (int)(step % Sampler.BatchesPerEpoch));
        var first = index * settings.BatchSize;
        (batch.Step, batch.Epoch, batch.Index, batch.MaskProbability) = (step, epoch, index, maskProbability(step));
        (batch.MaxLength, batch.LabelCount) = (0, 0);
        CopyPairs(epoch, first, batch.Samples);
        blocks?.ReadAhead(epoch, first, batch.Size, image => cache.Find(image).IsEmpty);
        var augmentation = RandomStreams.Augmentation(settings.Seed, epoch);
        var scratch = ArrayPool<byte>.Shared.Rent(transform.Size);
        try
        {
            for (var i = 0; i < batch.Size; i++)
            {
                stop.ThrowIfCancellationRequested();
                FillPair(batch, i, first + i, augmentation, scratch.AsSpan(0, transform.Size));
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(scratch);
        }
    }

    /// <summary>Frees the pictures that were kept; no batch may be in the making.</summary>
    public void Dispose()
    {
        cache.Dispose();
        blocks?.Dispose();
    }

    private void FillPair(Batch batch, int i, int position, Philox augmentation, Span<byte> scratch)
    {
        var (image, text) = batch.Samples[i];
        var person = data.Images[image];
        (batch.Identities[i], batch.Paths[i], batch.Captions[i]) = (data.Labels[image], person.RelativePath, person.Text(text));
        transform.Normalise(Resized(image, scratch), transform.Draw(augmentation, position),
            batch.Images.AsSpan(i * transform.Size, transform.Size));
        FillTokens(batch, i, batch.Epoch, position);
    }

    private void FillTokens(Batch batch, int i, int epoch, int position)
    {
        var ids = encoder.Encode(batch.Captions[i], settings.MaxTokens);
        var (masked, labels) = encoder.EncodeMasked(batch.Captions[i], settings.MaxTokens, batch.MaskProbability,
            RandomStreams.Masking(settings.Seed, epoch, position));
        if (ids.Length is 0 || ids.Length > settings.MaxTokens || masked.Length is 0 || masked.Length > settings.MaxTokens || labels.Length != masked.Length)
            throw new InvalidOperationException(
                $"the caption encoder gave {ids.Length} ids, {masked.Length} masked ids and {labels.Length} labels where 1 to {settings.MaxTokens} and as many labels as masked ids were asked for");
        ids.CopyTo(batch.TokenIds, batch.CuSeqlens[i]);
        masked.CopyTo(batch.MaskedTokenIds, batch.MaskedCuSeqlens[i]);
        labels.CopyTo(batch.MaskedLabels, batch.MaskedCuSeqlens[i]);
        batch.CuSeqlens[i + 1] = batch.CuSeqlens[i] + ids.Length;
        batch.MaskedCuSeqlens[i + 1] = batch.MaskedCuSeqlens[i] + masked.Length;
        batch.MaxLength = Math.Max(batch.MaxLength, Math.Max(ids.Length, masked.Length));
        foreach (var label in labels) batch.LabelCount += label >= 0 ? 1 : 0;
    }

    private ReadOnlySpan<byte> Resized(int image, Span<byte> scratch)
    {
        var kept = cache.Find(image);
        if (!kept.IsEmpty) return kept;
        using var picture = blocks == null ? LoadPicture(data, image) : Named(data, image, blocks.Borrow);
        transform.Resize(picture, scratch);
        cache.Offer(image, scratch);
        return scratch;
    }

    /// <summary>The picture of image <paramref name="index"/>; an error names the entry as well as the file.</summary>
    internal static BorrowedPicture LoadPicture(PersonDataset data, int index) => Named(data, index, i => data.Images[i].Borrow());

    private static BorrowedPicture Named(PersonDataset data, int index, Func<int, BorrowedPicture> load)
    {
        try
        {
            return load(index);
        }
        catch (DataException e)
        {
            throw e.At(Place(data, data.Images[index], e));
        }
    }

    /// <summary>The bytes of a picture as they are stored, in an array from the shared pool.</summary>
    internal static (byte[] Bytes, int Start, int Length) ReadPicture(PersonDataset data, PersonImage image)
    {
        try
        {
            if (image.Shard != null) return (image.Shard.ReadMember(image.Offset, image.Length), TarHeader.Block, image.Length);
            var bytes = Picture.ReadFile(image.FullPath, out var length);
            return (bytes, 0, length);
        }
        catch (DataException e)
        {
            throw e.At(Place(data, image, e));
        }
    }

    /// <summary>Where an entry stands; with the error's own place before it, which a shard's has.</summary>
    internal static string Place(PersonDataset data, PersonImage image, DataException? error = null) =>
        FormattableString.Invariant($"{(error?.Place is { } own ? own + ", " : "")}entry {image.Entry} of {image.Shard?.Path ?? data.AnnotationFile}, identity {image.Identity}");

    /// <summary>Copied under the lock: the array of the epoch before last is filled anew.</summary>
    private void CopyPairs(int epoch, int first, SamplePair[] target)
    {
        lock (epochLock)
        {
            if (epoch != newest.Epoch && epoch != older.Epoch)
            {
                var pairs = older.Pairs.Length > 0 ? older.Pairs : new SamplePair[Sampler.BatchesPerEpoch * Sampler.BatchSize];
                Sampler.Fill(epoch, pairs);
                (older, newest) = (newest, (epoch, pairs));
            }
            (epoch == newest.Epoch ? newest : older).Pairs.AsSpan(first, target.Length).CopyTo(target);
        }
    }

    /// <summary>Training needs a text with words for every image; an entry without is an error here, before the first step.</summary>
    private static PersonDataset Trainable(PersonDataset data, bool usePrompts)
    {
        if (data.Images.Count == 0) throw new DataException(data.AnnotationFile, null, $"{data.Name} holds no images", "training data");
        var used = usePrompts || data.Images.All(i => i.PromptCaptions.Length == 0) ? data : new PersonDataset(data.Name, data.Root,
            data.AnnotationFile, data.Layout, [.. data.Images.Select(i => i with { PromptCaptions = [] })], data.Notes);
        foreach (var image in used.Images)
        {
            if (image.TextCount == 0)
                throw new DataException(data.AnnotationFile, Place(image), "there is no caption", "at least one caption for each training image");
            for (var t = 0; t < image.TextCount; t++)
                if (string.IsNullOrWhiteSpace(image.Text(t)))
                    throw new DataException(data.AnnotationFile, Place(image), $"caption {t} is empty", "a sentence; mend or remove it (\"plip data check\" lists all such entries)");
        }
        return used;

        static string Place(PersonImage image) => FormattableString.Invariant($"entry {image.Entry}, {image.RelativePath}");
    }
}
