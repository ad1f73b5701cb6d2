namespace Plip.Engine;

/// <summary>How a file of weights is written.</summary>
public enum WeightsFormat
{
    /// <summary>One safetensors file.</summary>
    SafeTensors,

    /// <summary>This program's checkpoint: safetensors with a SHA-256, which is checked.</summary>
    Checkpoint,

    /// <summary>torch.save's archive.</summary>
    Torch,

    /// <summary>TorchScript's archive; its tensors are read, its code is not.</summary>
    TorchScript,

    /// <summary>An index of several files: model.safetensors.index.json or pytorch_model.bin.index.json.</summary>
    Index,
}

/// <summary>Weights in any format this program reads, told by their content and not by a suffix.</summary>
/// <example><code>
/// using var file = WeightsFile.Open("PLIP_MRN50.pth.tar");
/// var visual = file.Tensors.Under("ImgEncoder_state_dict.");
/// </code></example>
public sealed class WeightsFile : IDisposable
{
    // What a folder of Hugging Face's holds, the safer and the whole first.
    private static readonly string[] s_folder = ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];

    private readonly IDisposable _owner;

    private WeightsFile(
        string path, WeightsFormat format, StateDict tensors, IDisposable owner,
        IReadOnlyDictionary<string, string>? metadata = null, IReadOnlyList<KeyValuePair<string, string>>? values = null, IReadOnlyList<string>? ignored = null)
    {
        (Path, Format, Tensors, _owner) = (path, format, tensors, owner);
        Metadata = metadata ?? new Dictionary<string, string>();
        Values = values ?? [];
        Ignored = ignored ?? [];
    }

    /// <summary>The file that was opened.</summary>
    public string Path { get; }

    /// <summary>How it is written.</summary>
    public WeightsFormat Format { get; }

    /// <summary>All tensors by name; of nested dictionaries, by path. They read from the file, so keep it open.</summary>
    public StateDict Tensors { get; }

    /// <summary>The free strings of a safetensors file or a checkpoint.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Numbers and strings that a PyTorch file holds beside its tensors, by path.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Values { get; }

    /// <summary>Optimisers' states that were left out.</summary>
    public IReadOnlyList<string> Ignored { get; }

    /// <summary>Opens a file, or a folder that holds one by Hugging Face's names or this program's checkpoints.</summary>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    /// <exception cref="FileFormatException">Damaged, hostile, or of no format that can be read; says what to do.</exception>
    public static WeightsFile Open(string path)
    {
        if (Directory.Exists(path))
        {
            if (s_folder.Select(f => System.IO.Path.Combine(path, f)).FirstOrDefault(File.Exists) is { } inside) return Open(inside);
            return Of(Checkpoint.Open(path));
        }
        switch (Detect(path))
        {
            case WeightsFormat.Torch:
                var torch = TorchFile.Open(path);
                return new WeightsFile(path, torch.IsScript ? WeightsFormat.TorchScript : WeightsFormat.Torch, torch.Tensors, torch, values: torch.Values, ignored: torch.Ignored);
            case WeightsFormat.Index:
                var shards = ShardedWeights.Open(path);
                return new WeightsFile(path, WeightsFormat.Index, shards.Tensors, shards, shards.Metadata);
            default:
                var file = SafeTensors.Open(path);
                if (!Checkpoint.IsOne(file)) return new WeightsFile(path, WeightsFormat.SafeTensors, file.Tensors, file, file.Metadata);
                file.Dispose();
                return Of(Checkpoint.Open(path));
        }
    }

    /// <summary>The format of a file, told by its content.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="FileFormatException">Of no format that can be read, or a safetensors file with a damaged header.</exception>
    public static WeightsFormat FormatOf(string path)
    {
        var format = Detect(path);
        if (format != WeightsFormat.SafeTensors) return format;
        using var file = SafeTensors.Open(path);
        return Checkpoint.IsOne(file) ? WeightsFormat.Checkpoint : format;
    }

    /// <summary>The format a file's first bytes tell, <see cref="WeightsFormat.SafeTensors"/> for a checkpoint too.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="FileFormatException">Of no format that can be read; says what it seems to be and what to do.</exception>
    internal static WeightsFormat Detect(string path)
    {
        if (!File.Exists(path)) throw new FileNotFoundException($"{path}: there is no such file", path);
        var start = new byte[512];
        long length;
        using (var file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete))
        {
            length = RandomAccess.GetLength(file);
            start = start[..RandomAccess.Read(file, start, 0)];
        }
        return ForeignFormats.Tell(path, start, length);
    }

    /// <summary>Closes the file; its tensors cannot be read afterwards.</summary>
    public void Dispose() => _owner.Dispose();

    private static WeightsFile Of(Checkpoint checkpoint) => new(checkpoint.Path, WeightsFormat.Checkpoint, checkpoint.Tensors, checkpoint, checkpoint.Metadata);
}
