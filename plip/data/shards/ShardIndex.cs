using System.Security.Cryptography;
using System.Text;

namespace Plip.Data;

/// <summary>
/// The pictures of a folder of shards, or of one. The first time the archives are walked through; what was found is kept
/// beside them, or in the cache folder where they cannot be written to, and read back from then on. Only shards that are
/// new or changed (name, size, time of writing) are walked through again.
/// </summary>
internal static class ShardIndex
{
    /// <summary>The index's name beside a folder's shards.</summary>
    internal const string FileName = "shards.index";

    private const int MostReaders = 8; // a network disk answers several at once, and no disk likes hundreds

    /// <summary>The shards of a folder in the order of their names, or the one file; empty where there are none.</summary>
    internal static string[] Find(string path) => File.Exists(path)
        ? IsShard(path) ? [path] : []
        : [.. Directory.EnumerateFiles(path, "*.tar").Order(StringComparer.Ordinal)];

    /// <summary>Whether a file's name is a shard's.</summary>
    internal static bool IsShard(string path) => path.EndsWith(".tar", StringComparison.OrdinalIgnoreCase);

    /// <summary>All pictures, shard after shard.</summary>
    /// <param name="root">The folder, or the one shard, absolute.</param>
    /// <param name="notes">Told what a user should know.</param>
    /// <exception cref="DataException">A shard cannot be read; names shard, member and byte.</exception>
    internal static List<PersonImage> Load(string root, List<string> notes)
    {
        var paths = Find(root);
        var open = new OpenShards();
        var shards = Array.ConvertAll(paths, p => new Shard(p, open));
        var stamps = Array.ConvertAll(paths, ShardStamp.Of);
        var found = new (ShardStamp Stamp, List<PersonImage> Images, int Others)[shards.Length];
        var scanned = 0;
        var known = 0;
        using (var beside = ShardIndexFile.TryOpen(Beside(root)))
        using (var cached = beside == null ? ShardIndexFile.TryOpen(Cached(root)) : null)
        {
            var index = beside ?? cached;
            known = index?.Count ?? 0;
            var errors = new DataException?[shards.Length];
            Parallel.For(0, shards.Length, new ParallelOptions { MaxDegreeOfParallelism = Math.Min(MostReaders, Environment.ProcessorCount) }, i =>
            {
                try
                {
                    var read = index?.TryRead(stamps[i], shards[i]);
                    if (read == null) Interlocked.Increment(ref scanned);
                    var (images, others) = read ?? new ShardScan(shards[i]).Read();
                    found[i] = (stamps[i], images, others);
                }
                catch (DataException e)
                {
                    errors[i] = e;
                }
            });
            // The first in order, whichever thread was first.
            if (Array.Find(errors, e => e != null) is { } error) throw error;
        }
        if (scanned > 0 || known != shards.Length) Save(root, found, notes);
        var other = found.Sum(f => (long)f.Others);
        if (other > 0) notes.Add(FormattableString.Invariant($"{other} members of the shards are neither pictures nor .json and were not read"));
        var all = new List<PersonImage>(found.Sum(f => f.Images.Count));
        foreach (var (_, images, _) in found) all.AddRange(images);
        return all;
    }

    private static void Save(string root, (ShardStamp Stamp, List<PersonImage> Images, int Others)[] found, List<string> notes)
    {
        Exception? first = null;
        foreach (var path in new[] { Beside(root), Cached(root) })
        {
            try
            {
                if (first != null) Directory.CreateDirectory(Path.GetDirectoryName(path)!);
                ShardIndexFile.Write(path, found);
                return;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                first ??= e;
            }
        }
        notes.Add($"the index of the shards could not be kept ({first!.Message.TrimEnd('.')}): they are walked through each time. Make {Path.GetDirectoryName(Beside(root))} writable, or set PLIP_CACHE to a folder that is");
    }

    internal static string Beside(string root) => File.Exists(root) ? root + ".index" : Path.Combine(root, FileName);

    /// <summary>In PLIP_CACHE or the user's cache folder, under a name made of the shards' place.</summary>
    internal static string Cached(string root)
    {
        var place = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(root)))[..16];
        return Path.Combine(CacheFolder(), "shards", place + ".index");
    }

    private static string CacheFolder()
    {
        if (Environment.GetEnvironmentVariable("PLIP_CACHE") is { Length: > 0 } given) return given;
        if (OperatingSystem.IsWindows()) return Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData), "plip", "cache");
        return Path.Combine(
            Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } xdg ? xdg : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"), "plip");
    }
}
