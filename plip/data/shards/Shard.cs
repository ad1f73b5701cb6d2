using System.Buffers;
using Microsoft.Win32.SafeHandles;

namespace Plip.Data;

/// <summary>
/// A tar archive of pictures that is read by position, from any number of threads. It is opened when it is first read and
/// closed again when its set has too many open; whoever reads then opens it anew.
/// </summary>
internal sealed class Shard(string path, OpenShards open)
{
    private SafeFileHandle? handle;

    /// <summary>Absolute path.</summary>
    internal string Path => path;

    /// <summary>Bytes in the file.</summary>
    internal long Length => RandomAccess.GetLength(Handle());

    /// <summary>Reads from <paramref name="offset"/> on until the span is full or the file ends; how many bytes that were.</summary>
    /// <exception cref="DataException">The archive cannot be opened or read.</exception>
    internal int Read(Span<byte> to, long offset)
    {
        var count = 0;
        while (count < to.Length)
        {
            try
            {
                var read = RandomAccess.Read(Handle(), to[count..], offset + count);
                if (read == 0) break;
                count += read;
            }
            catch (ObjectDisposedException)
            {
                // Closed by another thread between Handle and Read: again with a new handle.
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new DataException(path, FormattableString.Invariant($"byte {offset + count}"), "the archive cannot be read: " + e.Message.TrimEnd('.'), "a readable .tar file", e);
            }
        }
        return count;
    }

    /// <summary>The picture of a member, decoded.</summary>
    /// <exception cref="DataException">The archive is not the one that was indexed, or the picture is broken.</exception>
    internal BorrowedPicture Borrow(long offset, int length)
    {
        var bytes = ReadMember(offset, length);
        try
        {
            return Decode(bytes.AsSpan(0, TarHeader.Block + length), offset);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    /// <summary>A member's header and bytes, in an array from the shared pool.</summary>
    internal byte[] ReadMember(long offset, int length)
    {
        var bytes = ArrayPool<byte>.Shared.Rent(TarHeader.Block + length);
        var span = bytes.AsSpan(0, TarHeader.Block + length);
        try
        {
            span = span[..Read(span, offset - TarHeader.Block)];
            _ = Member(span, offset, length);
            return bytes;
        }
        catch
        {
            ArrayPool<byte>.Shared.Return(bytes);
            throw;
        }
    }

    /// <summary>Decodes a member whose header and bytes are in memory.</summary>
    internal BorrowedPicture Decode(ReadOnlySpan<byte> headerAndBytes, long offset)
    {
        var name = Member(headerAndBytes, offset, headerAndBytes.Length - TarHeader.Block);
        try
        {
            return Picture.BorrowDecoded(headerAndBytes[TarHeader.Block..], path);
        }
        catch (DataException e)
        {
            throw e.At(FormattableString.Invariant($"member {name}, byte {offset}"));
        }
    }

    /// <summary>The name in a member's header, which must fit what was indexed: an archive that was exchanged never gives other pictures.</summary>
    private string Member(ReadOnlySpan<byte> headerAndBytes, long offset, int length)
    {
        if (headerAndBytes.Length == TarHeader.Block + length && TarHeader.TryParse(headerAndBytes[..TarHeader.Block], out var header) == null && header.Size == length) return header.Name;
        throw new DataException(path, FormattableString.Invariant($"byte {offset}"), FormattableString.Invariant($"there is no member of {length} bytes here, as the index says"),
            $"the archive that was indexed; it is damaged or was changed, so delete {ShardIndex.FileName} or load the data set again");
    }

    private SafeFileHandle Handle()
    {
        if (Volatile.Read(ref handle) is { } ready) return ready;
        lock (open)
        {
            if (handle is { } other) return other;
            try
            {
                handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new DataException(path, null, "the archive cannot be opened: " + e.Message.TrimEnd('.'), "a readable .tar file", e);
            }
            open.Add(this);
            return handle;
        }
    }

    /// <summary>Closes the file; reads that are under way finish first. The caller holds the lock of the set.</summary>
    internal void Close() => Interlocked.Exchange(ref handle, null)?.Dispose();
}

/// <summary>The open archives of a data set: opening each picture anew would ask a network disk's server twice a picture.</summary>
internal sealed class OpenShards
{
    private const int Most = 256; // a quarter of the usual limit on a process's files

    private readonly Queue<Shard> order = new();

    /// <summary>Notes an archive that was opened, and closes the one open longest if there are too many.</summary>
    internal void Add(Shard shard)
    {
        order.Enqueue(shard);
        if (order.Count > Most) order.Dequeue().Close();
    }
}
