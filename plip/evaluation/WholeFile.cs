namespace Plip.Evaluation;

/// <summary>
/// A file that appears under its name only when it is complete: written beside it, forced to the disk, renamed. Room is asked for when it is
/// opened, so that a full disk is noticed before hours of work and not after. Disposed without <see cref="Complete"/> it leaves nothing.
/// </summary>
internal sealed class WholeFile : IDisposable
{
    private readonly string _path, _partial;
    private bool _complete;

    /// <summary>Opens the file beside the one to be.</summary>
    /// <param name="path">The file to be; what stands there is replaced at the end.</param>
    /// <param name="bytes">Bytes to ask room for: no more than will be written.</param>
    /// <exception cref="IOException">It cannot be written, or the disk is full.</exception>
    public WholeFile(string path, long bytes)
    {
        (_path, _partial) = (path, path + ".partial");
        Stream = new FileStream(_partial, new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, PreallocationSize = bytes, BufferSize = 1 << 16 });
    }

    /// <summary>Where to write.</summary>
    public FileStream Stream { get; }

    /// <summary>Gives the file its name.</summary>
    public void Complete()
    {
        Stream.Flush(flushToDisk: true);
        Stream.Dispose();
        File.Move(_partial, _path, overwrite: true);
        _complete = true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Stream.Dispose();
        if (!_complete) File.Delete(_partial);
    }
}
