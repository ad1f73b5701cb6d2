using System.Text.Json;
using Plip.Data.World;
using Xunit;

namespace Plip.Tests.Data.World;

public sealed class WorldWriterTests : IDisposable
{
    private readonly string root = Path.Combine(Path.GetTempPath(), "plip-world-" + Guid.NewGuid().ToString("N"));
    private static readonly WorldOptions Options = new() { Identities = 8, Seed = 5, TestIdentities = 2, ValIdentities = 1, Height = 64, ImagesPerIdentity = 3, Scenes = 2, Threads = 1 };

    public void Dispose() => Directory.Delete(root, recursive: true);

    private string Make(WorldOptions options, string name)
    {
        var directory = Path.Combine(root, name);
        WorldWriter.Make(options, directory);
        return directory;
    }

    private static SortedDictionary<string, byte[]> Files(string directory)
    {
        var files = new SortedDictionary<string, byte[]>(StringComparer.Ordinal);
        foreach (var file in Directory.EnumerateFiles(directory, "*", SearchOption.AllDirectories)) files[Path.GetRelativePath(directory, file)] = File.ReadAllBytes(file);
        return files;
    }

    [Fact]
    public void Repeats_byte_for_byte_for_any_number_of_threads()
    {
        var one = Files(Make(Options, "one"));
        var two = Files(Make(Options with { Threads = 2 }, "two"));
        Make(Options with { Seed = 6, Identities = 9 }, "two"); // a world is replaced whole, leaving nothing behind
        var again = Files(Make(Options with { Threads = 3 }, "two"));
        Assert.Equal(one.Keys, two.Keys);
        Assert.Equal(one.Keys, again.Keys);
        foreach (var (name, bytes) in one)
        {
            Assert.True(bytes.AsSpan().SequenceEqual(two[name]), name);
            Assert.True(bytes.AsSpan().SequenceEqual(again[name]), name);
        }
    }

    [Fact]
    public void Both_layouts_can_be_read_and_name_every_picture()
    {
        var directory = Make(Options, "layout");
        using var reid = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(directory, "reid_raw.json")));
        using var train = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(directory, "synthpedes_dataset.json")));
        using var heldout = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(directory, "synthpedes_heldout.json")));
        Assert.Equal(24, reid.RootElement.GetArrayLength());
        Assert.Equal(15, train.RootElement.GetArrayLength());
        Assert.Equal(9, heldout.RootElement.GetArrayLength());
        foreach (var e in reid.RootElement.EnumerateArray())
        {
            var id = e.GetProperty("id").GetInt32();
            Assert.Equal(id >= 6 ? "test" : id == 5 ? "val" : "train", e.GetProperty("split").GetString());
            Assert.Equal(2, e.GetProperty("captions").GetArrayLength());
            var path = e.GetProperty("file_path").GetString()!;
            using var picture = SkiaSharp.SKBitmap.Decode(Path.Combine(directory, "imgs", path));
            Assert.Equal((32, 64), (picture.Width, picture.Height));
            var mask = Path.Combine(directory, "masks", Path.ChangeExtension(path, ".png"));
            Assert.Equal(id >= 6, File.Exists(mask));
        }
        var paths = reid.RootElement.EnumerateArray().Select(e => e.GetProperty("file_path").GetString()).ToList();
        Assert.Equal(paths, train.RootElement.EnumerateArray().Concat(heldout.RootElement.EnumerateArray()).Select(e => e.GetProperty("file_path").GetString()));
        Assert.Equal(Directory.GetFiles(Path.Combine(directory, "imgs"), "*.jpg", SearchOption.AllDirectories).Length, paths.Distinct().Count());
        foreach (var e in train.RootElement.EnumerateArray())
        {
            Assert.Equal(6, e.GetProperty("attributes")[0].GetString()!.Split(',').Length);
            Assert.Equal(1, e.GetProperty("attributes").GetArrayLength());
            Assert.Equal(2, e.GetProperty("captions").GetArrayLength());
            Assert.Equal(1, e.GetProperty("prompt_caption").GetArrayLength());
        }
    }

    [Fact]
    public void Truth_on_disk_is_the_truth_in_memory()
    {
        var directory = Make(Options with { Masks = MaskScope.All }, "truth");
        var image = new Plip.Data.World.World(Options).Render(3, 2);
        Assert.Equal(image.EncodeJpeg(), File.ReadAllBytes(Path.Combine(directory, "imgs", "00003", "2.jpg")));
        using (var mask = SkiaSharp.SKBitmap.Decode(Path.Combine(directory, "masks", "00003", "2.png")))
        {
            for (var i = 0; i < image.Labels.Length; i++) Assert.Equal(image.Labels[i], mask.GetPixel(i % image.Width, i / image.Width).Red);
        }
        var lines = File.ReadAllLines(Path.Combine(directory, "attributes_pa100k.csv"));
        Assert.Equal(25, lines.Length);
        Assert.Equal(29, lines[0].Split(',').Length);
        Assert.StartsWith("00003/2.jpg,train,3,", lines[1 + 3 * 3 + 2]);
        using var garments = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(directory, "garments.json")));
        var entry = garments.RootElement[3 * 3 + 2];
        Assert.Equal("00003/2.jpg", entry.GetProperty("file_path").GetString());
        Assert.Equal(image.Appearance.Upper.Shade.Key, entry.GetProperty("upper").GetProperty("shade").GetString());
        Assert.Equal(3, entry.GetProperty("upper").GetProperty("rgb").GetArrayLength());
        using var scenes = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(directory, "scenes.json")));
        Assert.Equal(2, scenes.RootElement.GetArrayLength());
        foreach (var scene in scenes.RootElement.EnumerateArray())
        {
            Assert.True(File.Exists(Path.Combine(directory, scene.GetProperty("file").GetString()!)));
            foreach (var box in scene.GetProperty("boxes").EnumerateArray()) Assert.InRange(box.GetProperty("id").GetInt32(), 6, 7);
        }
    }

    [Fact]
    public void An_interrupted_world_is_visible_and_can_be_made_again()
    {
        var directory = Path.Combine(root, "cut");
        using var source = new CancellationTokenSource();
        source.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => WorldWriter.Make(Options, directory, null, source.Token));
        Assert.False(File.Exists(Path.Combine(directory, WorldWriter.Marker)));
        WorldWriter.Make(Options, directory);
        Assert.True(File.Exists(Path.Combine(directory, WorldWriter.Marker)));
        Assert.DoesNotContain(Files(directory).Keys, n => n.EndsWith(".part", StringComparison.Ordinal) || n.EndsWith(".txt", StringComparison.Ordinal));
    }

    [Fact]
    public void A_directory_with_other_things_in_it_is_left_alone()
    {
        var directory = Path.Combine(root, "mine");
        Directory.CreateDirectory(directory);
        File.WriteAllText(Path.Combine(directory, "letter.txt"), "dear");
        var error = Assert.Throws<IOException>(() => WorldWriter.Make(Options, directory));
        Assert.Contains("is not empty", error.Message);
        Assert.Equal(["letter.txt"], Files(directory).Keys);
    }
}
