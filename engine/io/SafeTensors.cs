using Microsoft.Win32.SafeHandles;

namespace Plip.Engine;

/// <summary>
/// A safetensors file open for reading (github.com/huggingface/safetensors): the header is checked when it is opened,
/// elements are read when they are asked for. Reads are positional, by any thread: unlike a mapped page, a file that
/// another program cuts short under the reader is an error here and not a crash.
/// </summary>
public sealed class SafeTensors : IDisposable
{
    private readonly SafeFileHandle _file;
    private readonly SafeTensorsHeader _header;

    private SafeTensors(string path, SafeFileHandle file, SafeTensorsHeader header)
    {
        (Path, _file, _header) = (path, file, header);
        foreach (var e in header.Entries) Tensors.Add(e.Name, new FileTensor(this, e));
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>The tensors in the order of the header. They read from the file, so it must stay open.</summary>
    public StateDict Tensors { get; } = new();

    /// <summary>The header's free strings.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    internal SafeFileHandle File => _file;

    internal SafeTensorsHeader Header => _header;

    /// <summary>Opens a file and checks its header.</summary>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    /// <exception cref="FileFormatException">It is damaged, or of another format.</exception>
    public static SafeTensors Open(string path)
    {
        if (Directory.Exists(path)) throw new FileNotFoundException($"{path}: is a directory; name a .safetensors file", path);
        if (!System.IO.File.Exists(path)) throw new FileNotFoundException($"{path}: there is no such file", path);
        var file = System.IO.File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
        try
        {
            var header = SafeTensorsHeader.Read(path, RandomAccess.GetLength(file), (at, to) => Fill(path, file, at, to));
            return new SafeTensors(path, file, header);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Closes the file; its tensors cannot be read afterwards.</summary>
    public void Dispose() => _file.Dispose();

    /// <summary>Reads exactly as many bytes as <paramref name="to"/> holds.</summary>
    internal static void Fill(string path, SafeFileHandle file, long at, Span<byte> to)
    {
        while (to.Length > 0)
        {
            var n = RandomAccess.Read(file, to, at);
            if (n == 0) throw new FileFormatException(path, $"byte {at}", $"the file ends here, {to.Length} bytes more were expected; something cut it short while it was read");
            to = to[n..];
            at += n;
        }
    }

    /// <summary>Reads elements of the file's type from a byte on and turns them into the engine's, as many as <paramref name="to"/> holds.</summary>
    internal static void ReadElements(string path, SafeFileHandle file, SafeTensorType type, long at, Span<byte> to)
    {
        if (type.IsPlain)
        {
            Fill(path, file, at, to);
            return;
        }
        const int Chunk = 1 << 16; // elements
        var (size, width) = (type.Size, type.ReadAs.Size());
        var raw = new byte[Math.Min(Chunk, to.Length / width) * size];
        for (var done = 0; done < to.Length / width; done += Chunk)
        {
            var piece = raw.AsSpan(0, Math.Min(Chunk, to.Length / width - done) * size);
            Fill(path, file, at + (long)done * size, piece);
            type.Convert(piece, to.Slice(done * width, piece.Length / size * width));
        }
    }

    private sealed class FileTensor(SafeTensors owner, SafeTensorsHeader.Entry entry) : StateTensor(entry.Type.ReadAs, entry.Shape)
    {
        public override string StoredType => entry.Type.Name;

        public override long StoredBytes => entry.End - entry.Begin;

        public override void Read(long first, Span<byte> to) =>
            ReadElements(owner.Path, owner._file, entry.Type, owner._header.DataStart + entry.Begin + first * entry.Type.Size, to);
    }
}
