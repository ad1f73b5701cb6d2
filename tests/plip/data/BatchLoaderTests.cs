using Plip.Data;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Data;

public class BatchLoaderTests
{
    private static readonly BatchSettings Small = new()
    {
        BatchSize = 4,
        MaxTokens = 6,
        Seed = 17,
        Image = new ImageSettings { Height = 24, Width = 12, ShiftPixels = 2 },
    };

    private static float Probability(long step) => Math.Min(1, .2f + step * .05f);

    [Fact]
    public void A_batch_holds_what_sampler_transform_and_encoder_give()
    {
        using var tiny = new TinyData().WithCuhkPedes();
        var train = PersonDataset.Load(tiny.Root, split: "train");
        using var loader = new BatchLoader(train, new WordEncoder(), Small, Probability);
        Assert.Equal(2, loader.BatchesPerEpoch);
        for (var step = 0; step < 5; step++)
        {
            using var batch = loader.Next();
            Assert.Equal((step, step / 2, step % 2, Probability(step)), (batch.Step, batch.Epoch, batch.Index, batch.MaskProbability));
            var pairs = new IdentityBatchSampler(train, 4, 17).Epoch(batch.Epoch)[(4 * batch.Index)..(4 * batch.Index + 4)];
            Assert.Equal(pairs, batch.Samples);
            var labels = 0;
            for (var i = 0; i < 4; i++)
            {
                var image = train.Images[pairs[i].Image];
                Assert.Equal((image.RelativePath, image.Text(pairs[i].Caption)), (batch.Paths[i], batch.Captions[i]));
                Assert.Equal(image.Identity, train.Identities[batch.Identities[i]]);
                Assert.Equal(new WordEncoder().Encode(batch.Captions[i], 6), batch.TokenIds[batch.CuSeqlens[i]..batch.CuSeqlens[i + 1]]);
                var masked = batch.MaskedTokenIds[batch.MaskedCuSeqlens[i]..batch.MaskedCuSeqlens[i + 1]];
                var truth = batch.MaskedLabels[batch.MaskedCuSeqlens[i]..batch.MaskedCuSeqlens[i + 1]];
                // Putting the labels back where they are not -100 gives the caption again.
                Assert.Equal(new WordEncoder().Encode(batch.Captions[i], 6), masked.Zip(truth, (m, t) => t == -100 ? m : t));
                labels += truth.Count(t => t != -100);
                Assert.Contains(Variants(image), v => v.SequenceEqual(batch.Images.AsSpan(i * 864, 864)));
            }
            Assert.Equal(labels, batch.LabelCount);
            Assert.Equal((batch.CuSeqlens[4], batch.MaskedCuSeqlens[4], 6), (batch.TokenCount, batch.MaskedTokenCount, batch.MaxLength));
        }
    }

    /// <summary>Any order of finishing must give the same bytes: one worker is compared with four, and a cache with none.</summary>
    [Theory]
    [InlineData(4, 3, 0, BatchKind.Random)]
    [InlineData(2, 1, 1 << 20, BatchKind.Random)]
    [InlineData(3, 2, 3000, BatchKind.Random)]
    [InlineData(3, 2, 0, BatchKind.PxK)]
    public void The_bytes_do_not_depend_on_workers_queue_or_cache(int workers, int ahead, long cache, BatchKind kind)
    {
        using var tiny = new TinyData().WithCuhkPedes();
        var train = PersonDataset.Load(tiny.Root, split: "train");
        var settings = Small with { Kind = kind, ImagesPerIdentity = 2 };
        var one = Contents(train, settings, 0, 9);
        var many = Contents(train, settings with { Workers = workers, Ahead = ahead, CacheBytes = cache }, 0, 9);
        Assert.Equal(one, many);
        Assert.Equal(9, one.Distinct().Count());
        Assert.NotEqual(one[0], Contents(train, settings with { Seed = 18 }, 0, 1)[0]);
    }

    /// <summary>The same picture and caption again and again: only the augmentation and the mask can tell samples apart.</summary>
    [Theory]
    [InlineData(1, 1)] // 16 epochs of one sample
    [InlineData(16, 1)] // 16 batches of one epoch
    [InlineData(16, 16)] // 16 samples of one batch
    public void Augmentation_and_mask_differ_between_epochs_batches_and_samples(int images, int batchSize)
    {
        using var tiny = new TinyData().WithCuhkPedes(2);
        tiny.Write("reid_raw.json", TinyData.Json(Enumerable.Repeat(TinyData.Entry(1, "p0/0.jpg", "train", "one two three four"), images)));
        using var loader = new BatchLoader(PersonDataset.Load(tiny.Root), new WordEncoder(), Small with { BatchSize = batchSize }, _ => .5f);
        HashSet<string> pictures = [], masks = [];
        for (var step = 0; step < 16 / batchSize; step++)
        {
            using var batch = loader.Next();
            for (var i = 0; i < batchSize; i++)
            {
                pictures.Add(string.Join(',', batch.Images.AsSpan(i * 864, 864).ToArray()));
                masks.Add(string.Join(',', batch.MaskedLabels[batch.MaskedCuSeqlens[i]..batch.MaskedCuSeqlens[i + 1]]));
            }
        }
        // 16 draws from 50 augmentations and from 16 masks; a constant draw would give 1.
        Assert.InRange(pictures.Count, 8, 16);
        Assert.InRange(masks.Count, 4, 16);
    }

    [Fact]
    public void Starts_at_any_step_as_if_it_had_run_there()
    {
        using var tiny = new TinyData().WithCuhkPedes();
        var train = PersonDataset.Load(tiny.Root, split: "train");
        var whole = Contents(train, Small, 0, 8);
        foreach (var start in new[] { 1, 2, 5 })
            Assert.Equal(whole[start..], Contents(train, Small with { Workers = 2 }, start, 8 - start));
    }

    [Fact]
    public void Buffers_are_used_again_and_too_many_held_are_an_error()
    {
        using var tiny = new TinyData().WithCuhkPedes();
        using var loader = new BatchLoader(PersonDataset.Load(tiny.Root, split: "train"), new WordEncoder(), Small, Probability);
        var seen = new HashSet<Batch>();
        for (var i = 0; i < 40; i++)
        {
            using var batch = loader.Next();
            seen.Add(batch);
        }
        Assert.InRange(seen.Count, 1, Small.Workers + Small.Ahead + Small.Held);
        var (a, b) = (loader.Next(), loader.Next());
        Assert.Contains("2 batches are held", Assert.Throws<InvalidOperationException>(() => loader.Next()).Message);
        a.Dispose();
        a.Dispose(); // a second time must not put the buffer into the pool twice
        for (var step = 42; step < 60; step++)
        {
            var c = loader.Next();
            Assert.NotSame(b, c);
            Assert.Equal((step - 1, step), (b.Step, c.Step));
            b.Dispose();
            b = c;
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void A_broken_picture_reaches_the_consumer_at_its_step_with_file_and_entry(int workers)
    {
        using var tiny = new TinyData().WithCuhkPedes();
        var train = PersonDataset.Load(tiny.Root, split: "train");
        // The victim: first met in the second batch of epoch 0.
        var victim = train.Images[new IdentityBatchSampler(train, 4, 17).Epoch(0)[5].Image];
        File.WriteAllBytes(victim.FullPath, File.ReadAllBytes(victim.FullPath)[..300]);
        using var loader = new BatchLoader(train, new WordEncoder(), Small with { Workers = workers }, Probability);
        loader.Next().Dispose();
        var error = Assert.Throws<DataException>(() => loader.Next());
        Assert.Equal(victim.FullPath, error.File);
        Assert.Contains($"entry {victim.Entry} of {train.AnnotationFile}", error.Place);
        Assert.Same(error, Assert.Throws<DataException>(() => loader.Next()));
    }

    [Fact]
    public void A_missing_picture_and_an_exception_of_the_encoder_come_through_as_they_are()
    {
        using var tiny = new TinyData().WithCuhkPedes();
        var train = PersonDataset.Load(tiny.Root, split: "train");
        using (var loader = new BatchLoader(train, new FailingEncoder(), Small, Probability))
            Assert.Equal("no such word", Assert.Throws<NotSupportedException>(() => loader.Next()).Message);
        Directory.Delete(tiny.At("imgs"), recursive: true);
        using (var loader = new BatchLoader(train, new WordEncoder(), Small, Probability))
            Assert.Contains("missing", Assert.Throws<DataException>(() => loader.Next()).Found);
    }

    [Fact]
    public void Empty_captions_and_entries_without_any_are_refused_before_the_first_step()
    {
        using var tiny = new TinyData().WithCuhkPedes(2);
        tiny.Write("reid_raw.json", TinyData.Json([TinyData.Entry(1, "p0/0.jpg", "train", "a man"), TinyData.Entry(2, "p1/0.jpg", "train", "a woman", " \t ")]));
        var error = Assert.Throws<DataException>(() => Start(tiny, Small with { BatchSize = 1 }));
        Assert.Contains("entry 1, p1/0.jpg", error.Place);
        Assert.Contains("caption 1 is empty", error.Message);
        tiny.Write("reid_raw.json", TinyData.Json([TinyData.Entry(1, "p0/0.jpg", "train")]));
        Assert.Contains("there is no caption", Assert.Throws<DataException>(() => Start(tiny, Small with { BatchSize = 1 })).Message);
    }

    [Fact]
    public void A_batch_larger_than_the_data_is_refused()
    {
        using var tiny = new TinyData().WithCuhkPedes(2);
        Assert.Contains("2 images, fewer than one batch of 4", Assert.Throws<DataException>(() => Start(tiny, Small)).Message);
    }

    [Fact]
    public void A_caption_of_5000_words_is_cut_to_the_tokens_asked_for()
    {
        using var tiny = new TinyData().WithCuhkPedes(2);
        tiny.Write("reid_raw.json", TinyData.Json([TinyData.Entry(1, "p0/0.jpg", "train", string.Join(' ', Enumerable.Repeat("coat", 5000)))]));
        using var loader = Start(tiny, Small with { BatchSize = 1 });
        using var batch = loader.Next();
        Assert.Equal((6, 6), (batch.TokenCount, batch.MaskedTokenCount));
    }

    [Fact]
    public void Prompt_captions_are_drawn_only_if_asked_for()
    {
        using var tiny = new TinyData().WithCuhkPedes(2);
        tiny.Write("synthpedes_dataset.json", TinyData.Json([
            """{"id": 1, "file_path": "p0/0.jpg", "captions": ["written"], "prompt_caption": ["made"]}""",
            """{"id": 1, "file_path": "p0/1.jpg", "captions": ["written"], "prompt_caption": ["made"]}"""]));
        IEnumerable<string> Drawn(bool prompts)
        {
            using var loader = new BatchLoader(PersonDataset.Load(tiny.Root), new WordEncoder(), Small with { BatchSize = 2, UsePromptCaptions = prompts }, Probability);
            return [.. Enumerable.Range(0, 12).SelectMany(_ => { using var b = loader.Next(); return b.Captions.ToArray(); }).Distinct().Order()];
        }
        Assert.Equal(["made", "written"], Drawn(true));
        Assert.Equal(["written"], Drawn(false));
    }

    [Fact]
    public void Waiting_can_be_cancelled_and_disposing_ends_the_threads()
    {
        using var tiny = new TinyData().WithCuhkPedes();
        using var encoder = new WaitingEncoder();
        var loader = new BatchLoader(PersonDataset.Load(tiny.Root, split: "train"), encoder, Small, Probability);
        encoder.Entered.Wait(TestContext.Current.CancellationToken); // the worker is inside the first batch and stays there
        using var cancel = new CancellationTokenSource();
        var waiting = Task.Run(() => loader.Next(cancel.Token), TestContext.Current.CancellationToken);
        cancel.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => waiting.GetAwaiter().GetResult());
        encoder.Gate.Set();
        using (var batch = loader.Next(TestContext.Current.CancellationToken)) Assert.Equal(0, batch.Step); // cancelling lost nothing
        loader.Dispose();
        loader.Dispose();
        Assert.Throws<ObjectDisposedException>(() => loader.Next());
        var calls = encoder.Calls;
        Assert.Equal(calls, encoder.Calls);
    }

    private static BatchLoader Start(TinyData tiny, BatchSettings settings) =>
        new(PersonDataset.Load(tiny.Root, split: "train"), new WordEncoder(), settings, Probability);

    /// <summary>Everything in each batch as one string.</summary>
    private static string[] Contents(PersonDataset data, BatchSettings settings, long start, int count)
    {
        using var loader = new BatchLoader(data, new WordEncoder(), settings, Probability, start);
        var contents = new string[count];
        for (var i = 0; i < count; i++)
        {
            using var b = loader.Next();
            contents[i] = string.Join('|', b.Step, b.Epoch, b.Index, b.MaskProbability, b.MaxLength, b.LabelCount,
                string.Join(',', b.Paths), string.Join(',', b.Captions), string.Join(',', b.Samples), string.Join(',', b.Identities),
                string.Join(',', b.CuSeqlens), string.Join(',', b.TokenIds[..b.TokenCount]), string.Join(',', b.MaskedCuSeqlens),
                string.Join(',', b.MaskedTokenIds[..b.MaskedTokenCount]), string.Join(',', b.MaskedLabels[..b.MaskedTokenCount]),
                Convert.ToBase64String(System.Runtime.InteropServices.MemoryMarshal.AsBytes(b.Images.AsSpan())));
        }
        return contents;
    }

    /// <summary>The picture under each of the 2 · 5 · 5 possible augmentations.</summary>
    private static IEnumerable<float[]> Variants(PersonImage image)
    {
        var transform = new ImageTransform(Small.Image);
        foreach (var flip in new[] { false, true })
            for (var dx = -2; dx <= 2; dx++)
                for (var dy = -2; dy <= 2; dy++)
                {
                    var output = new float[transform.Size];
                    transform.Apply(Picture.Load(image.FullPath), new Augmentation(flip, dx, dy), output);
                    yield return output;
                }
    }

    private sealed class FailingEncoder : ICaptionEncoder
    {
        public int[] Encode(string caption, int maxTokens) => throw new NotSupportedException("no such word");

        public (int[] ids, int[] labels) EncodeMasked(string caption, int maxTokens, float maskProbability, Philox random) => throw new NotSupportedException();
    }

    private sealed class WaitingEncoder : ICaptionEncoder, IDisposable
    {
        private readonly WordEncoder words = new();
        private int calls;

        public ManualResetEventSlim Gate { get; } = new();

        public ManualResetEventSlim Entered { get; } = new();

        public int Calls => Volatile.Read(ref calls);

        public int[] Encode(string caption, int maxTokens)
        {
            Interlocked.Increment(ref calls);
            Entered.Set();
            Gate.Wait();
            return words.Encode(caption, maxTokens);
        }

        public (int[] ids, int[] labels) EncodeMasked(string caption, int maxTokens, float maskProbability, Philox random) =>
            words.EncodeMasked(caption, maxTokens, maskProbability, random);

        public void Dispose()
        {
            Gate.Dispose();
            Entered.Dispose();
        }
    }
}
