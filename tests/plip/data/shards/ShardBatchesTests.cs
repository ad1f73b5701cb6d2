using Plip.Data;
using Xunit;

namespace Plip.Tests.Data;

/// <summary>Batches out of shards: the same bits as out of a folder, for any number of workers, from any step.</summary>
public sealed class ShardBatchesTests : IDisposable
{
    private readonly TinyData tiny = new();
    private readonly PersonDataset folder, shards;

    public ShardBatchesTests()
    {
        ShardsTests.SynthPedes(tiny, 20);
        folder = PersonDataset.Load(tiny.Root);
        ShardPacker.Pack(folder, tiny.At("s"), 40_000);
        shards = PersonDataset.Load(tiny.At("s"));
    }

    private static readonly BatchSettings Small = new()
    {
        BatchSize = 4,
        MaxTokens = 6,
        Seed = 17,
        Image = new ImageSettings { Height = 24, Width = 12, ShiftPixels = 2 },
        BlockSize = 7,
        OpenBlocks = 2,
    };

    private static List<string> Contents(PersonDataset data, BatchSettings settings, long start, int count)
    {
        using var loader = new BatchLoader(data, new WordEncoder(), settings, step => .3f, start);
        var contents = new List<string>();
        for (var i = 0; i < count; i++)
        {
            using var batch = loader.Next();
            var hash = System.Security.Cryptography.SHA256.HashData(System.Runtime.InteropServices.MemoryMarshal.AsBytes(batch.Images.AsSpan()));
            contents.Add($"{batch.Step} {string.Join(',', batch.Samples)} {string.Join(',', batch.Identities)} {string.Join(',', batch.MaskedTokenIds[..batch.MaskedTokenCount])} {Convert.ToHexString(hash)}");
        }
        return contents;
    }

    [Theory]
    [InlineData(BatchKind.Random)]
    [InlineData(BatchKind.PxK)]
    public void Shards_give_the_batches_of_the_folder(BatchKind kind)
    {
        var settings = Small with { Kind = kind, ImagesPerIdentity = 2 };
        Assert.Equal(Contents(folder, settings, 0, 20), Contents(shards, settings, 0, 20));
    }

    [Theory]
    [InlineData(4, 3, 0)]
    [InlineData(3, 2, 1 << 20)]
    [InlineData(2, 1, 3000)]
    public void Blocks_give_the_same_bits_for_any_workers_and_cache(int workers, int ahead, long cache)
    {
        var settings = Small with { Kind = BatchKind.Blocks };
        var one = Contents(shards, settings, 0, 40); // nearly three epochs of 15 batches
        Assert.Equal(one, Contents(shards, settings with { Workers = workers, Ahead = ahead, CacheBytes = cache }, 0, 40));
        Assert.Equal(40, one.Distinct().Count());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(22)]
    public void Blocks_go_on_from_any_step(long start)
    {
        var settings = Small with { Kind = BatchKind.Blocks, Workers = 2 };
        Assert.Equal(Contents(shards, settings, 0, 35).Skip((int)start), Contents(shards, settings, start, 35 - (int)start));
    }

    /// <summary>Of a folder blocks are an order and nothing else; shards whose blocks are the folder's give its batches.</summary>
    [Fact]
    public void Blocks_work_with_folders()
    {
        ShardPacker.Pack(folder, tiny.At("one"));
        var settings = Small with { Kind = BatchKind.Blocks };
        Assert.Equal(Contents(folder, settings, 0, 20), Contents(PersonDataset.Load(tiny.At("one")), settings, 0, 20));
    }

    [Fact]
    public void Each_block_is_read_once_an_epoch_and_few_are_held()
    {
        var order = new BlockOrder(shards.Images, 7, 2);
        using var reader = new BlockReader(shards, order, 17);
        var sampler = new IdentityBatchSampler(shards, 4, 17, BatchKind.Blocks, blockSize: 7, openBlocks: 2);
        for (var epoch = 0; epoch < 2; epoch++)
        {
            var pairs = sampler.Epoch(epoch);
            for (var first = 0; first < pairs.Length; first += 4)
            {
                reader.ReadAhead(epoch, first, 4, _ => true);
                for (var i = first; i < first + 4; i++)
                {
                    using var picture = reader.Borrow(pairs[i].Image);
                    Assert.Equal(folder.Images[pairs[i].Image].Load().Rgb, picture.Rgb.ToArray());
                }
                Assert.InRange(reader.Held, 1, 6);
            }
        }
        // Some of the second epoch's first blocks may be here still.
        Assert.InRange(reader.Reads, 2 * order.Count - 6, 2 * order.Count);
    }

    [Fact]
    public void Pictures_that_lie_far_apart_are_read_one_by_one()
    {
        // Every twelfth picture only: what lies between is more than eight times what is wanted.
        PersonImage[] sparse = [.. shards.Images.Where((_, i) => i % 12 == 0)];
        var data = new PersonDataset("sparse", shards.Root, shards.Root, DatasetLayout.Shards, [.. sparse.Select(i => i with { Identity = i.Shard!.Path.GetHashCode() & 1023 })]);
        using var reader = new BlockReader(data, new BlockOrder(data.Images, 4, 2), 1);
        for (var i = 0; i < sparse.Length; i++)
        {
            using var picture = reader.Borrow(i);
            Assert.Equal(sparse[i].Load().Rgb, picture.Rgb.ToArray());
        }
    }

    [Fact]
    public void A_broken_picture_ends_the_run_with_its_place()
    {
        var victim = shards.Images[33];
        using (var file = new FileStream(victim.Folder, FileMode.Open, FileAccess.Write))
        {
            file.Position = victim.Offset;
            file.Write(new byte[victim.Length]);
        }
        foreach (var kind in new[] { BatchKind.Random, BatchKind.Blocks })
        {
            var error = Assert.Throws<DataException>(() => Contents(shards, Small with { Kind = kind, Workers = 2 }, 0, 15));
            Assert.Equal(victim.Folder, error.File);
            Assert.Contains("member 000000033.jpg, byte ", error.Place!, StringComparison.Ordinal);
            Assert.Contains($"entry {victim.Entry} of {victim.Folder}, identity {victim.Identity}", error.Place!, StringComparison.Ordinal);
        }
    }

    public void Dispose() => tiny.Dispose();
}
