using Plip.Engine;
using Plip.Evaluation;
using Xunit;

namespace Plip.Tests.Evaluation;

public sealed class EmbeddingFileTests : IDisposable
{
    private readonly string _root = Directory.CreateDirectory(Path.Combine(Path.GetTempPath(), "plip-embedding-" + Guid.NewGuid().ToString("N"))).FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private string At(string name) => Path.Combine(_root, name);

    private static float Value(int row, int column) => row + column / 1024f;

    /// <summary>Rows in one buffer that is used again, as the embedder gives them.</summary>
    private static IEnumerable<EmbeddingChunk> Chunks(int rows, int dim, int at)
    {
        var buffer = new float[at * dim];
        for (var start = 0; start < rows; start += at)
        {
            var count = Math.Min(at, rows - start);
            for (var i = 0; i < count * dim; i++) buffer[i] = Value(start + i / dim, i % dim);
            yield return new EmbeddingChunk(start, buffer.AsMemory(0, count * dim), Enumerable.Range(start, count).Select(i => 1000 + i).ToArray());
        }
    }

    private static EmbeddingList List(string name, int rows, int dim, int at, bool identities = true, int? said = null) =>
        new(name, said ?? rows, Chunks(rows, dim, at), Enumerable.Range(0, rows).Select(i => $"{name}\nnumber {i}"), identities);

    private static float[] Expected(int rows, int dim) => [.. Enumerable.Range(0, rows * dim).Select(i => Value(i / dim, i % dim))];

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(257, 33, 10)]
    [InlineData(300, 512, 64)] // more than one piece of the safetensors writer
    public void Npy_and_safetensors_hold_the_same_rows(int rows, int dim, int at)
    {
        var files = EmbeddingFile.Write(At("e.npy"), dim, [List("images", rows, dim, at), List("texts", 2 * rows, dim, at)], new Dictionary<string, string>());
        Assert.Equal(
            ["e.images.npy", "e.images.ids.npy", "e.images.npy.txt", "e.texts.npy", "e.texts.ids.npy", "e.texts.npy.txt"], files.Select(f => Path.GetFileName(f)));
        var images = NpyReader.ReadFloat(At("e.images.npy"));
        Assert.Equal([rows, dim], images.Shape);
        Assert.Equal(Expected(rows, dim), images.Values);
        Assert.Equal(Enumerable.Range(1000, 2 * rows), NpyReader.ReadInt(At("e.texts.ids.npy")).Values);
        Assert.Equal(2 * rows, File.ReadAllLines(At("e.texts.npy.txt")).Length); // a line is a row, whatever the text
        Assert.Equal("images number 0", File.ReadLines(At("e.images.npy.txt")).First());

        files = EmbeddingFile.Write(At("e.safetensors"), dim, [List("images", rows, dim, at), List("texts", 2 * rows, dim, at)], new Dictionary<string, string> { ["checkpoint"] = "abc" });
        Assert.Equal(["e.safetensors", "e.safetensors.images.txt", "e.safetensors.texts.txt"], files.Select(f => Path.GetFileName(f)));
        using var tensors = SafeTensors.Open(At("e.safetensors"));
        Assert.Equal("abc", tensors.Metadata["checkpoint"]);
        Assert.Equal(["images", "texts", "images.identities", "texts.identities"], tensors.Tensors.Names);
        Assert.Equal(images.Values, tensors.Tensors["images"].ToF32());
        Assert.Equal(NpyReader.ReadFloat(At("e.texts.npy")).Values, tensors.Tensors["texts"].ToF32());
        Assert.Equal(Enumerable.Range(1000, rows).Select(i => (long)i), tensors.Tensors["images.identities"].ToI64());
        Assert.DoesNotContain(Directory.EnumerateFiles(_root), f => f.EndsWith(".partial", StringComparison.Ordinal));
    }

    [Fact]
    public void One_list_takes_the_name_itself()
    {
        Assert.Equal(["x.npy", "x.npy.txt"], EmbeddingFile.Write(At("x.npy"), 3, [List("texts", 5, 3, 2, identities: false)], new Dictionary<string, string>()).Select(f => Path.GetFileName(f)));
        Assert.Equal(
            ["x.safetensors", "x.safetensors.txt"],
            EmbeddingFile.Write(At("x.safetensors"), 3, [List("texts", 5, 3, 2, identities: false)], new Dictionary<string, string>()).Select(f => Path.GetFileName(f)));
        using var tensors = SafeTensors.Open(At("x.safetensors"));
        Assert.Equal(["texts"], tensors.Tensors.Names);
        Assert.Throws<ArgumentException>(() => EmbeddingFile.Write(At("x.npz"), 3, [], new Dictionary<string, string>()));
    }

    [Theory]
    [InlineData("npy")]
    [InlineData("safetensors")]
    public void What_breaks_off_leaves_the_old_file(string format)
    {
        var path = At("y." + format);
        File.WriteAllText(path, "old");
        Assert.Throws<ArgumentException>(() => EmbeddingFile.Write(path, 4, [List("images", 10, 4, 3, said: 11)], new Dictionary<string, string>()));
        Assert.Throws<ArgumentException>(() => EmbeddingFile.Write(path, 4, [List("images", 10, 4, 3, said: 8)], new Dictionary<string, string>()));
        IEnumerable<EmbeddingChunk> Breaks()
        {
            yield return Chunks(10, 4, 3).First();
            throw new IOException("the cable is out");
        }
        Assert.Throws<IOException>(() => EmbeddingFile.Write(path, 4, [new EmbeddingList("images", 10, Breaks(), [], false)], new Dictionary<string, string>()));
        Assert.Equal("old", File.ReadAllText(path));
        Assert.Equal([path], Directory.EnumerateFiles(_root));
    }

    /// <summary>Forty thousand rows of 256 are 41 MB; writing them must not hold them.</summary>
    [Theory]
    [InlineData("npy")]
    [InlineData("safetensors")]
    public void Rows_are_written_as_they_come(string format)
    {
        const int rows = 40_000, dim = 256;
        var before = GC.GetAllocatedBytesForCurrentThread();
        EmbeddingFile.Write(At("long." + format), dim, [new EmbeddingList("images", rows, Chunks(rows, dim, 64), [], false)], new Dictionary<string, string>());
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 8_000_000);
        Assert.InRange(new FileInfo(At("long." + format)).Length, 4L * rows * dim, 4L * rows * dim + 1000);
    }
}
