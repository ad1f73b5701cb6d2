using System.Security.Cryptography;
using System.Text;

namespace Plip.Engine;

/// <summary>
/// Code that never ran on a GPU like this one, and may take the context, or the process, with it. While it is tried a file lies in the cache of kernels; one that is
/// still there when the next process comes says how that went, and it does without.
/// </summary>
internal sealed class Trial
{
    private readonly string _path;

    private Trial(string path) => _path = path;

    /// <summary>Begins one.</summary>
    /// <param name="cache">Where the file is left; a folder that cannot be written to is no error, only no protection.</param>
    /// <param name="name">What is tried, on what.</param>
    /// <param name="source">Its source: what was changed since is tried again.</param>
    /// <param name="left">Null, or the file that an earlier trial left: nothing was begun.</param>
    public static Trial? Begin(KernelCache cache, string name, string source, out string? left)
    {
        var digest = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{name}\n{source}")))[..16];
        var path = Path.Combine(cache.Folder, $"trial-{digest}.txt");
        left = File.Exists(path) ? path : null;
        if (left != null) return null;
        try
        {
            Directory.CreateDirectory(cache.Folder);
            File.WriteAllText(path, $"{name}: its test began and has not ended. Delete this file to have it tried again.\n");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Without a place for the file the worst is that the next process tries too.
        }
        return new Trial(path);
    }

    /// <summary>It was survived, whatever it found.</summary>
    public void End()
    {
        try
        {
            File.Delete(_path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Then it is not tried again, which costs speed alone.
        }
    }
}
