using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace Plip.Engine;

/// <summary>
/// An archive of torch.save (PyTorch 1.6 and later: .pth, .pth.tar, .pt, .bin) or of TorchScript, open for reading. The pickle inside is read as
/// data: nothing of it is executed. Containers become paths: {"state_dict": {"conv1.weight": t}} is the tensor "state_dict.conv1.weight".
/// </summary>
public sealed class TorchFile : IDisposable
{
    private const int Deepest = 64, LargestPickle = 1 << 28, LongestKey = 4096;

    private readonly List<KeyValuePair<string, string>> _values = [];
    private readonly List<string> _ignored = [];
    private long _budget;

    private TorchFile(string path, SafeFileHandle file) => (Path, File) = (path, file);

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Whether it is TorchScript's.</summary>
    public bool IsScript { get; private set; }

    /// <summary>The tensors by path, in the order of the pickle. They read from the file, so it must stay open.</summary>
    public StateDict Tensors { get; } = new();

    /// <summary>Numbers, strings and what else lies beside the tensors, by path, as text.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Values => _values;

    /// <summary>Paths of the optimisers' states, which are left out: dictionaries of "state" and "param_groups", as torch.optim writes them.</summary>
    public IReadOnlyList<string> Ignored => _ignored;

    internal SafeFileHandle File { get; }

    /// <summary>Opens an archive and checks all of it but the elements.</summary>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    /// <exception cref="FileFormatException">Damaged, hostile, or of something other than weights; names the place.</exception>
    public static TorchFile Open(string path)
    {
        if (!System.IO.File.Exists(path)) throw new FileNotFoundException($"{path}: there is no such file", path);
        var handle = System.IO.File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
        try
        {
            var file = new TorchFile(path, handle);
            file.Read();
            return file;
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Closes the file; its tensors cannot be read afterwards.</summary>
    public void Dispose() => File.Dispose();

    private void Read()
    {
        const string Pickle = "data.pkl";
        var archive = StoredZip.Read(Path, File);
        var pickles = archive.Entries.Keys.Where(n => n.EndsWith("/" + Pickle, StringComparison.Ordinal) && n.IndexOf('/') == n.Length - Pickle.Length - 1).ToArray();
        if (pickles.Length != 1)
            throw new FileFormatException(Path, "", pickles.Length == 0
                ? "is a ZIP archive, but none of torch.save: it holds no data.pkl. Unpack it and name the file of weights inside"
                : $"holds {pickles.Length} files named data.pkl, where torch.save writes one");
        var root = pickles[0][..^Pickle.Length];
        IsScript = archive.Entries.ContainsKey(root + "constants.pkl");
        foreach (var entry in archive.Entries.Values)
            // TorchScript compresses its code, which is not read.
            if (entry.Method != 0 && !(IsScript && (entry.Name.StartsWith(root + "code/", StringComparison.Ordinal) || entry.Name.StartsWith(root + "extra/", StringComparison.Ordinal))))
                throw new FileFormatException(Path, Printable.Text(entry.Name), $"is compressed (method {entry.Method}); torch.save stores entries as they are, so the archive was packed again. Load and save it in PyTorch, or pack it with zip -0");
        if (archive.Entries.TryGetValue(root + "byteorder", out var order) && order.Size is > 0 and < 16 && Bytes(order).AsSpan().SequenceEqual("big"u8))
            throw new FileFormatException(Path, "byteorder", "is big: the file was written on a big-endian machine. Load and save it in PyTorch on an ordinary one");
        var code = archive.Entries[pickles[0]];
        if (code.Size > LargestPickle) throw new FileFormatException(Path, Printable.Text(code.Name), $"is {code.Size} bytes long; a state dict's takes some hundred kilobytes, and this program reads {LargestPickle} at most");
        var value = PickleReader.Read(Bytes(code), new TorchObjects(archive, root, IsScript), Path, code.Name);
        _budget = 4096 + 64 * code.Size;
        Walk(value, "", 0);
    }

    private byte[] Bytes(StoredZip.Entry entry)
    {
        var bytes = new byte[entry.Size];
        SafeTensors.Fill(Path, File, entry.Start, bytes);
        return bytes;
    }

    /// <summary>
    /// Turns containers into paths. What stands in several places is visited at each, so a budget in characters of paths bounds a pickle that
    /// nests one list in itself twice, and the depth one that holds itself.
    /// </summary>
    private void Walk(object? value, string path, int depth)
    {
        _budget -= 8 + path.Length;
        if (depth > Deepest) throw Error(path, $"is nested more than {Deepest} deep, or holds itself");
        if (_budget < 0) throw Error(path, "the containers hold one another so often that they would fill the memory; no program writes such a file");
        switch (value)
        {
            case PyTensor tensor:
                var name = path.Length == 0 ? "tensor" : path;
                if (Tensors.TryGet(name) != null) throw Error(name, "two tensors have this path; rename one and save again");
                Tensors.Add(name, new TorchTensor(this, tensor));
                break;
            case PyDict dict:
                WalkDict(dict, path, depth);
                break;
            case PyList list:
                WalkItems(list.Items, path, depth);
                break;
            case PyTuple tuple:
                WalkItems(tuple.Items, path, depth);
                break;
            default:
                _values.Add(new(path, Describe(value)));
                break;
        }
    }

    private void WalkDict(PyDict dict, string path, int depth)
    {
        _budget -= 8L * dict.Items.Count;
        if (_budget < 0) throw Error(path, "the containers hold one another so often that they would fill the memory; no program writes such a file");
        // As in Python, a key that stands twice has its later value at its first place.
        var places = new Dictionary<string, int>(StringComparer.Ordinal);
        var items = new List<(string Key, object? Value)>();
        foreach (var (key, value) in dict.Items)
        {
            var text = key switch
            {
                string s when s.Length <= LongestKey => s,
                long n => n.ToString(CultureInfo.InvariantCulture),
                bool b => b ? "True" : "False",
                null => "None",
                double d => d.ToString("R", CultureInfo.InvariantCulture),
                _ => throw Error(path, "a dictionary has a key that is neither a short text nor a number"),
            };
            if (places.TryAdd(text, items.Count)) items.Add((text, value));
            else items[places[text]] = (text, value);
        }
        if (items.Count > 0 && places.ContainsKey("state") && places.ContainsKey("param_groups"))
        {
            _ignored.Add(path);
            return;
        }
        foreach (var (key, value) in items) Walk(value, path.Length == 0 ? key : $"{path}.{key}", depth + 1);
    }

    private void WalkItems(IReadOnlyList<object?> items, string path, int depth)
    {
        for (var i = 0; i < items.Count; i++)
            Walk(items[i], path.Length == 0 ? i.ToString(CultureInfo.InvariantCulture) : string.Create(CultureInfo.InvariantCulture, $"{path}.{i}"), depth + 1);
    }

    private static string Describe(object? value) => value switch
    {
        null => "None",
        bool b => b ? "True" : "False",
        long n => n.ToString(CultureInfo.InvariantCulture),
        double d => d.ToString("R", CultureInfo.InvariantCulture),
        string s => s,
        byte[] bytes => $"{bytes.Length} bytes",
        PyOpaque o => o.Text,
        PyStorage s => $"a storage of {s.Count} elements, not a tensor",
        TorchGlobal g => g.Name,
        _ => "something else",
    };

    private FileFormatException Error(string place, string problem) => new(Path, Printable.Text(place), problem);
}
