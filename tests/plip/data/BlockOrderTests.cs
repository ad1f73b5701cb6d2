using CsCheck;
using Plip.Data;
using Xunit;

namespace Plip.Tests.Data;

public sealed class BlockOrderTests
{
    /// <summary>Identities of 1 to 9 pictures, in shards; some identities scattered.</summary>
    private static PersonDataset Make(int identities, int shards, int most = 9)
    {
        var open = new OpenShards();
        var files = Enumerable.Range(0, shards).Select(s => new Shard($"/{s}.tar", open)).ToArray();
        var images = new List<PersonImage>();
        for (var i = 0; i < identities; i++)
            for (var n = 0; n <= i * 7 % most; n++)
            {
                var shard = files[(int)((long)i * shards / identities)];
                images.Add(new PersonImage(shard.Path, $"{i}/{n}.jpg", i, ["a", "b"], [], null, null, images.Count) { Shard = shard, Offset = 512 + images.Count * 1024, Length = 500 });
            }
        return new PersonDataset("tiny", "/", "/", DatasetLayout.Shards, images);
    }

    private static IdentityBatchSampler Sampler(PersonDataset data, int batch, ulong seed, int block, int open) =>
        new(data, batch, seed, BatchKind.Blocks, blockSize: block, openBlocks: open);

    [Fact]
    public void Blocks_hold_whole_identities_of_one_shard_and_about_as_many_images_as_asked()
    {
        var data = Make(100, 4);
        var order = new BlockOrder(data.Images, 32, 4);
        var next = 0;
        for (var b = 0; b < order.Count; b++)
        {
            var (start, end) = order.Images(b);
            Assert.Equal(next, start);
            next = end;
            Assert.Single(Enumerable.Range(start, end - start).Select(i => data.Images[i].Shard).Distinct());
            Assert.InRange(end - start, 1, 32);
            Assert.True(end == data.Images.Count || data.Images[end].Identity != data.Images[end - 1].Identity);
            // The next identity would not have fitted, or lies in the next shard.
            if (end < data.Images.Count && data.Images[end].Shard == data.Images[start].Shard)
                Assert.True(end - start + data.Images.Count(i => i.Identity == data.Images[end].Identity) > 32);
            for (var i = start; i < end; i++) Assert.Equal(b, order.Of(i));
        }
        Assert.Equal(data.Images.Count, next);
    }

    [Fact]
    public void An_identity_larger_than_a_block_stays_whole()
    {
        var order = new BlockOrder(Make(10, 1, 9).Images, 3, 2);
        Assert.All(Enumerable.Range(0, order.Count).Select(order.Images), b => Assert.InRange(b.End - b.Start, 1, 9));
        Assert.Contains(Enumerable.Range(0, order.Count).Select(order.Images), b => b.End - b.Start > 3);
    }

    /// <summary>Each image once an epoch, for any sizes; the same order for the same seed and epoch, another for others.</summary>
    [Fact]
    public void Every_image_comes_once_in_an_epoch()
    {
        Gen.Select(Gen.Int[1, 60], Gen.Int[1, 5], Gen.Int[1, 40], Gen.Int[1, 6], Gen.Int[0, 5]).Sample((identities, shards, block, open, epoch) =>
        {
            var data = Make(identities, Math.Min(shards, identities));
            var sampler = Sampler(data, 1, 3, block, open);
            var images = sampler.Epoch(epoch).Select(p => p.Image).ToArray();
            Assert.Equal(Enumerable.Range(0, data.Images.Count), images.Order());
            Assert.Equal(images, Sampler(data, 1, 3, block, open).Epoch(epoch).Select(p => p.Image));
        }, iter: 200);
        var large = Make(200, 3);
        Assert.NotEqual(Sampler(large, 1, 3, 32, 4).Epoch(0), Sampler(large, 1, 3, 32, 4).Epoch(1));
        Assert.NotEqual(Sampler(large, 1, 3, 32, 4).Epoch(0), Sampler(large, 1, 4, 32, 4).Epoch(0));
        var mixed = Sampler(large, 1, 3, 32, 4).Epoch(0).Select(p => p.Image).ToArray();
        Assert.InRange(mixed.Zip(mixed.Skip(1)).Count(p => p.Second == p.First + 1), 0, mixed.Length / 10);
    }

    /// <summary>Samples in a row, a few less than K·B for blocks are seldom full, touch at most 2·K blocks, so the bytes they span are those of so many; the random order's span nearly all.</summary>
    [Fact]
    public void A_window_of_samples_lies_in_few_blocks()
    {
        const int Block = 50, Open = 4, Window = Block * Open * 3 / 4;
        var data = Make(1000, 5);
        var order = new BlockOrder(data.Images, Block, Open);
        int[] Images(BatchKind kind) => [.. new IdentityBatchSampler(data, 1, 9, kind, blockSize: Block, openBlocks: Open).Epoch(2).Select(p => p.Image)];
        int MostBlocks(int[] images) => Enumerable.Range(0, images.Length - Window).Where(i => i % 17 == 0).Max(i => images.AsSpan(i, Window).ToArray().Select(order.Of).Distinct().Count());
        Assert.InRange(MostBlocks(Images(BatchKind.Blocks)), Open, 2 * Open);
        Assert.InRange(MostBlocks(Images(BatchKind.Random)), 4 * Open, order.Count);
        // And well mixed within: a batch of 64 draws from all open blocks; at the epoch's end fewer may be left.
        Assert.All(Images(BatchKind.Blocks).Chunk(64).SkipLast(4), batch => Assert.InRange(batch.Select(order.Of).Distinct().Count(), 3, 2 * Open));
    }
}
