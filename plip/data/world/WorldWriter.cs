using System.Globalization;
using System.Runtime.ExceptionServices;
using System.Text;
using System.Text.Json;

namespace Plip.Data.World;

/// <summary>How far the writer has come.</summary>
/// <param name="Images">Pictures written.</param>
/// <param name="Total">Pictures to write.</param>
public readonly record struct WorldProgress(int Images, int Total);

/// <summary>Writes a <see cref="World"/> to disk in the layouts of CUHK-PEDES and SYNTH-PEDES, with its truth beside it.</summary>
public static class WorldWriter
{
    private const int Chunk = 128; // identities in flight: bounds memory, large enough to keep all cores busy

    /// <summary>The file that is written last: a directory without it is an interrupted world.</summary>
    public const string Marker = "world.json";

    /// <summary>
    /// Makes the world in <paramref name="directory"/>. Repeating it with the same options gives the same files, byte for
    /// byte; an earlier world in the directory, finished or not, is replaced.
    /// </summary>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="IOException">The directory holds something else, or cannot be written.</exception>
    public static void Make(WorldOptions options, string directory, IProgress<WorldProgress>? progress = null, CancellationToken cancel = default)
    {
        var world = new World(options);
        Prepare(directory);
        var parallel = new ParallelOptions { CancellationToken = cancel, MaxDegreeOfParallelism = options.Threads == 0 ? Environment.ProcessorCount : options.Threads };
        using (var tables = new WorldTables(directory))
        {
            var entries = new WorldEntry[Chunk][];
            for (var first = 0; first < options.Identities; first += Chunk)
            {
                var count = Math.Min(Chunk, options.Identities - first);
                var from = first;
                Each(count, parallel, k => entries[k] = WriteIdentity(world, from + k, directory));
                for (var k = 0; k < count; k++)
                    foreach (var entry in entries[k]) tables.Add(entry);
                progress?.Report(new WorldProgress((first + count) * options.ImagesPerIdentity, options.Identities * options.ImagesPerIdentity));
            }
            var scenes = new SceneImage[options.Scenes];
            Each(options.Scenes, parallel, i =>
            {
                var scene = world.RenderScene(i);
                File.WriteAllBytes(Path.Combine(directory, "scenes", SceneName(i)), scene.EncodeJpeg());
                scenes[i] = scene with { Rgb = [], People = [] }; // only the boxes are needed from here on
            });
            if (options.Scenes > 0) tables.WriteScenes(scenes, SceneName);
        }
        WorldTables.Finish(directory);
        WriteMarker(options, directory);
    }

    /// <summary>Runs the work in parallel; of what goes wrong the first exception comes out bare, as from a plain loop.</summary>
    private static void Each(int count, ParallelOptions parallel, Action<int> work)
    {
        try
        {
            Parallel.For(0, count, parallel, work);
        }
        catch (AggregateException all)
        {
            ExceptionDispatchInfo.Throw(all.InnerExceptions[0]);
        }
    }

    private static string SceneName(int index) => index.ToString("D5", CultureInfo.InvariantCulture) + ".jpg";

    private static void Prepare(string directory)
    {
        Directory.CreateDirectory(directory);
        var ours = new[] { "imgs", "masks", "scenes", Marker, WorldTables.Unfinished };
        var names = Directory.EnumerateFileSystemEntries(directory).Select(Path.GetFileName).ToList();
        if (names.Count > 0 && !names.Contains(Marker) && !names.Contains(WorldTables.Unfinished))
            throw new IOException($"'{directory}' is not empty and holds no world ({Marker} is missing); give a new or empty directory.");
        File.Delete(Path.Combine(directory, Marker));
        File.WriteAllText(Path.Combine(directory, WorldTables.Unfinished), "This world is being made, or its making was interrupted: make it again.\n");
        foreach (var name in ours.Take(3).Select(n => Path.Combine(directory, n)).Where(Directory.Exists)) Directory.Delete(name, recursive: true);
        Directory.CreateDirectory(Path.Combine(directory, "imgs"));
        Directory.CreateDirectory(Path.Combine(directory, "scenes"));
    }

    private static WorldEntry[] WriteIdentity(World world, int identity, string directory)
    {
        var options = world.Options;
        var split = options.SplitOf(identity);
        var folder = identity.ToString("D5", CultureInfo.InvariantCulture);
        Directory.CreateDirectory(Path.Combine(directory, "imgs", folder));
        var masks = options.Masks == MaskScope.All || (options.Masks == MaskScope.Test && split == "test");
        if (masks) Directory.CreateDirectory(Path.Combine(directory, "masks", folder));
        var entries = new WorldEntry[options.ImagesPerIdentity];
        for (var i = 0; i < entries.Length; i++)
        {
            var image = world.Render(identity, i);
            File.WriteAllBytes(Path.Combine(directory, "imgs", folder, $"{i}.jpg"), image.EncodeJpeg());
            if (masks) File.WriteAllBytes(Path.Combine(directory, "masks", folder, $"{i}.png"), Codec.GreyPng(image.Labels, image.Width, image.Height));
            entries[i] = new WorldEntry(split, $"{folder}/{i}.jpg", image with { Rgb = [], Labels = [] });
        }
        return entries;
    }

    private static void WriteMarker(WorldOptions options, string directory)
    {
        using var memory = new MemoryStream();
        using (var json = new Utf8JsonWriter(memory, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            // Threads is left out on purpose: it changes no byte, so it must not change this file either.
            json.WriteStartObject();
            json.WriteString("format", "plip world 1");
            json.WriteNumber("identities", options.Identities);
            json.WriteNumber("seed", options.Seed);
            json.WriteNumber("images_per_identity", options.ImagesPerIdentity);
            json.WriteNumber("height", options.Height);
            json.WriteNumber("cameras", options.Cameras);
            json.WriteNumber("test_identities", options.TestIdentities);
            json.WriteNumber("val_identities", options.ValIdentities);
            json.WriteString("masks", options.Masks switch { MaskScope.All => "all", MaskScope.Test => "test", _ => "none" });
            json.WriteNumber("scenes", options.Scenes);
            json.WriteEndObject();
        }
        File.WriteAllText(Path.Combine(directory, Marker + ".tmp"), Encoding.UTF8.GetString(memory.ToArray()) + "\n");
        File.Move(Path.Combine(directory, Marker + ".tmp"), Path.Combine(directory, Marker), overwrite: true);
        File.Delete(Path.Combine(directory, WorldTables.Unfinished));
    }
}
