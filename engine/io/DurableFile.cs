using System.Runtime.InteropServices;

namespace Plip.Engine;

/// <summary>
/// Replaces a file so that a killed process, a full disk or a power cut leaves the old one or the new one, never a part:
/// written beside it, forced to the disk, renamed, and the directory's entry forced to the disk too.
/// </summary>
internal static partial class DurableFile
{
    /// <summary>Ending of files in the making; one that is found later was left by a writer that died.</summary>
    public const string Temporary = ".tmp";

    /// <summary>Writes <paramref name="path"/>.</summary>
    /// <param name="open">Opens the temporary file; null for the ordinary way.</param>
    /// <exception cref="IOException">It could not be written; what stood there is untouched.</exception>
    public static void Replace(string path, Action<Stream> write, Func<string, Stream>? open = null)
    {
        var temporary = path + Temporary;
        try
        {
            using (var stream = open?.Invoke(temporary) ?? new FileStream(temporary, FileMode.Create, FileAccess.ReadWrite, FileShare.None, 1 << 20))
            {
                write(stream);
                if (stream is FileStream file) file.Flush(flushToDisk: true);
                else stream.Flush();
            }
            File.Move(temporary, path, overwrite: true);
        }
        catch (ArgumentOutOfRangeException e) when (e.ParamName == "value")
        {
            // .NET's answer to EFBIG: a limit on file sizes, or a file system such as FAT with one of its own.
            Forget(temporary);
            throw new IOException("the file is larger than this disk or a limit allows", e);
        }
        catch
        {
            Forget(temporary);
            throw;
        }
        SyncDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }

    /// <summary>Deletes a file if that is possible; what cannot be deleted now is found again at the next write.</summary>
    public static void Forget(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Reported by no one: it is only in the way of space, and the caller has an error of its own to tell.
        }
    }

    /// <summary>A rename is on the disk only when the directory is. Elsewhere than on Linux the file system decides.</summary>
    private static void SyncDirectory(string directory)
    {
        if (!OperatingSystem.IsLinux()) return;
        const int ReadOnly = 0, CloseOnExec = 0x80000;
        var fd = Open(directory, ReadOnly | CloseOnExec);
        if (fd < 0) throw new IOException($"{directory}: cannot be opened to force it to the disk (errno {Marshal.GetLastPInvokeError()})");
        var failed = Fsync(fd) != 0 ? Marshal.GetLastPInvokeError() : 0;
        _ = Close(fd);
        const int Invalid = 22; // EINVAL: a file system that cannot, such as some network ones
        if (failed is not (0 or Invalid)) throw new IOException($"{directory}: could not be forced to the disk (errno {failed})");
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Fsync(int fd);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int fd);
}
