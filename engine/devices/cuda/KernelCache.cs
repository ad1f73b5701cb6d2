using System.Security.Cryptography;

namespace Plip.Engine;

/// <summary>
/// Compiled kernels on disk, for the next process: a file for each, whose name is the hash of all that went into it. Several
/// processes may share the folder: a file appears whole or not at all, and one that was damaged is noticed and made anew.
/// </summary>
/// <remarks>The folder is <c>PLIP_CACHE</c>, or <c>plip</c> in the user's cache folder. It may be deleted at any time.</remarks>
internal sealed class KernelCache
{
    private const int HashBytes = 32;
    private static ReadOnlySpan<byte> Magic => "PLIPKRN1"u8;

    /// <summary>The cache in a folder, which is made at the first write.</summary>
    public KernelCache(string? folder = null) => Folder = folder ?? Path.Combine(Root(), "kernels");

    /// <summary>Where it is.</summary>
    public string Folder { get; }

    /// <summary>Why the last write failed, or null: the program goes on without the cache, and <c>plip doctor</c> says so.</summary>
    public string? Problem { get; private set; }

    /// <summary>Files and their bytes.</summary>
    public (int Files, long Bytes) Size
    {
        get
        {
            var folder = new DirectoryInfo(Folder);
            var files = folder.Exists ? folder.GetFiles("*.kernel") : [];
            return (files.Length, files.Sum(f => f.Length));
        }
    }

    /// <summary>The code under a key; null when there is none, or none that is whole.</summary>
    public byte[]? Read(string key)
    {
        byte[] file;
        try
        {
            file = File.ReadAllBytes(PathOf(key));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
        var head = Magic.Length + HashBytes;
        if (file.Length < head || !file.AsSpan(0, Magic.Length).SequenceEqual(Magic)) return null;
        var image = file.AsSpan(head);
        return SHA256.HashData(image).AsSpan().SequenceEqual(file.AsSpan(Magic.Length, HashBytes)) ? image.ToArray() : null;
    }

    /// <summary>Keeps code under a key. A folder that cannot be written to is no error.</summary>
    public void Write(string key, ReadOnlySpan<byte> image)
    {
        // A name of its own for each writer, then a rename, which replaces at once: readers see the old file or the new one.
        var temporary = PathOf($"{key}.{Environment.ProcessId}.{Environment.CurrentManagedThreadId}") + ".part";
        try
        {
            Directory.CreateDirectory(Folder);
            using (var file = File.Create(temporary))
            {
                file.Write(Magic);
                file.Write(SHA256.HashData(image));
                file.Write(image);
            }
            File.Move(temporary, PathOf(key), overwrite: true);
            Problem = null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Problem = e.Message;
            try
            {
                File.Delete(temporary);
            }
            catch (Exception again) when (again is IOException or UnauthorizedAccessException)
            {
                Problem += $"; {again.Message}";
            }
        }
    }

    internal string PathOf(string key) => Path.Combine(Folder, key + ".kernel");

    private static string Root()
    {
        if (Environment.GetEnvironmentVariable("PLIP_CACHE") is { Length: > 0 } given) return given;
        if (OperatingSystem.IsWindows()) return Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData), "plip", "cache");
        var cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } xdg
            ? xdg
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        return Path.Combine(cache, "plip");
    }
}
