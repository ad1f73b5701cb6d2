using CsCheck;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public sealed class KernelCacheTests
{
    [Fact]
    public void What_is_kept_comes_back()
    {
        using var folder = new TemporaryDirectory();
        var cache = new KernelCache(folder.Path);
        Assert.Null(cache.Read("k"));
        Gen.Byte.Array[0, 2000].Sample(image =>
        {
            cache.Write("k", image);
            Assert.Equal(image, new KernelCache(folder.Path).Read("k"));
        }, iter: 30, threads: 1);
        Assert.Equal(1, cache.Size.Files);
    }

    /// <summary>A changed byte anywhere, or a file that ends early, is no entry.</summary>
    [Fact]
    public void Damage_is_noticed()
    {
        using var folder = new TemporaryDirectory();
        var cache = new KernelCache(folder.Path);
        cache.Write("k", [1, 2, 3, 4, 5]);
        var whole = File.ReadAllBytes(cache.PathOf("k"));
        for (var i = 0; i < whole.Length; i++)
        {
            var bad = (byte[])whole.Clone();
            bad[i] ^= 4;
            File.WriteAllBytes(cache.PathOf("k"), bad);
            Assert.Null(cache.Read("k"));
            File.WriteAllBytes(cache.PathOf("k"), whole.AsSpan(0, i));
            Assert.Null(cache.Read("k"));
        }
    }

    /// <summary>Writers and readers at once: a reader gets nothing or a whole entry, and no half-written file stays.</summary>
    [Fact]
    public void Readers_never_see_a_half_written_entry()
    {
        using var folder = new TemporaryDirectory();
        var images = Enumerable.Range(1, 4).Select(i => Enumerable.Repeat((byte)i, 100_000 * i).ToArray()).ToArray();
        var seen = 0;
        Parallel.For(0, 8, worker =>
        {
            var cache = new KernelCache(folder.Path);
            for (var round = 0; round < 20; round++)
            {
                if (worker < 4) cache.Write("k", images[worker]);
                else if (cache.Read("k") is { } read)
                {
                    Assert.Equal(images[read[0] - 1], read);
                    Interlocked.Increment(ref seen);
                }
                Assert.Null(cache.Problem);
            }
        });
        Assert.NotNull(new KernelCache(folder.Path).Read("k"));
        Assert.Single(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void A_folder_that_cannot_be_made_is_told_and_no_error()
    {
        using var folder = new TemporaryDirectory();
        var file = Path.Combine(folder.Path, "file");
        File.WriteAllText(file, "");
        var cache = new KernelCache(Path.Combine(file, "kernels"));
        cache.Write("k", [1]);
        Assert.NotNull(cache.Problem);
        Assert.Null(cache.Read("k"));
        Assert.Equal((0, 0L), cache.Size);
    }
}
