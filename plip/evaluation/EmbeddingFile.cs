using System.Globalization;
using System.Runtime.InteropServices;
using Plip.Engine;

namespace Plip.Evaluation;

/// <summary>A list of embeddings to be written: pictures, or texts.</summary>
/// <param name="Name">"images" or "texts".</param>
/// <param name="Count">Rows that will come.</param>
/// <param name="Chunks">The rows, in order; enumerated once.</param>
/// <param name="Names">A line for each row: a path, a text. Written beside the embeddings.</param>
/// <param name="HasIdentities">Whether the rows have identities worth writing.</param>
public sealed record EmbeddingList(string Name, int Count, IEnumerable<EmbeddingChunk> Chunks, IEnumerable<string> Names, bool HasIdentities);

/// <summary>
/// Writes embeddings as .npy or .safetensors, a batch at a time: of millions of rows no more is in memory than a batch and four bytes an
/// identity. A file appears under its name only when complete.
/// <code>
/// OUT.npy          float32 (rows, width);  of several lists OUT.images.npy and OUT.texts.npy
/// OUT.ids.npy      int32 (rows), where there are identities;  likewise OUT.images.ids.npy
/// OUT.safetensors  tensors "images", "texts" F32 (rows, width), "images.identities", "texts.identities" I32 (rows); metadata
/// (each).txt       a line for each row
/// </code>
/// </summary>
public static class EmbeddingFile
{
    /// <summary>Whether a path ends in .npy or .safetensors.</summary>
    public static bool Knows(string path) => IsNpy(path) || IsSafeTensors(path);

    /// <summary>Writes the lists.</summary>
    /// <param name="path">Ends in .npy or .safetensors, which decides the format.</param>
    /// <param name="dim">Width of an embedding.</param>
    /// <param name="lists">One or more.</param>
    /// <param name="metadata">Strings for the header of a .safetensors file; .npy has no place for them.</param>
    /// <returns>The files written.</returns>
    /// <exception cref="ArgumentException">The path ends in neither, or a list gave more or fewer rows than it said.</exception>
    /// <exception cref="IOException">A file cannot be written.</exception>
    public static IReadOnlyList<string> Write(string path, int dim, IReadOnlyList<EmbeddingList> lists, IReadOnlyDictionary<string, string> metadata)
    {
        if (!Knows(path)) throw new ArgumentException($"{path}: embeddings are written as .npy or .safetensors, by the file's ending", nameof(path));
        return IsNpy(path) ? WriteNpy(path, dim, lists) : WriteSafeTensors(path, dim, lists, metadata);
    }

    private static bool IsNpy(string path) => path.EndsWith(".npy", StringComparison.OrdinalIgnoreCase);

    private static bool IsSafeTensors(string path) => path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase);

    private static List<string> WriteNpy(string path, int dim, IReadOnlyList<EmbeddingList> lists)
    {
        var files = new List<string>();
        foreach (var list in lists)
        {
            var file = lists.Count == 1 ? path : Path.ChangeExtension(path, $".{list.Name}.npy");
            var identities = new int[list.Count];
            NpyWriter.Write(file, list.Count, dim, Rows(list, identities));
            files.Add(file);
            if (list.HasIdentities)
            {
                files.Add(Path.ChangeExtension(file, ".ids.npy"));
                NpyWriter.Write(files[^1], identities, identities.Length);
            }
            files.Add(WriteNames(file + ".txt", list));
        }
        return files;
    }

    private static List<string> WriteSafeTensors(string path, int dim, IReadOnlyList<EmbeddingList> lists, IReadOnlyDictionary<string, string> metadata)
    {
        // The writer lays data down in this order, since all elements are of four bytes: what is known only after its rows comes after them.
        var state = new StateDict();
        var identities = lists.Select(l => new int[l.Count]).ToArray();
        for (var i = 0; i < lists.Count; i++) state.Add(lists[i].Name, new Streamed(new Shape(lists[i].Count, dim), Rows(lists[i], identities[i])));
        for (var i = 0; i < lists.Count; i++)
            if (lists[i].HasIdentities) state.Add($"{lists[i].Name}.identities", StateTensor.Of(identities[i], new Shape(lists[i].Count)));
        using (var file = new WholeFile(path, state.Sum(e => e.Value.Shape.Count * e.Value.DType.Size())))
        {
            SafeTensorsWriter.Write(file.Stream, state, metadata);
            file.Complete();
        }
        List<string> files = [path];
        foreach (var list in lists) files.Add(WriteNames(lists.Count == 1 ? path + ".txt" : $"{path}.{list.Name}.txt", list));
        return files;
    }

    private static IEnumerable<ReadOnlyMemory<float>> Rows(EmbeddingList list, int[] identities)
    {
        foreach (var chunk in list.Chunks)
        {
            if (chunk.Start + chunk.Identities.Length > identities.Length)
                throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"{list.Name}: more than the {identities.Length} rows came that were announced"));
            chunk.Identities.CopyTo(identities.AsMemory(chunk.Start));
            yield return chunk.Values;
        }
    }

    private static string WriteNames(string path, EmbeddingList list)
    {
        using var file = new WholeFile(path, 0);
        using (var text = new StreamWriter(file.Stream, leaveOpen: true) { NewLine = "\n" })
            foreach (var name in list.Names) text.WriteLine(name.ReplaceLineEndings(" ")); // a line is a row
        file.Complete();
        return path;
    }

    /// <summary>A tensor that is read once, from its first element to its last, as the safetensors writer reads.</summary>
    private sealed class Streamed(Shape shape, IEnumerable<ReadOnlyMemory<float>> pieces) : StateTensor(DType.F32, shape)
    {
        private readonly IEnumerator<ReadOnlyMemory<float>> _pieces = pieces.GetEnumerator();
        private ReadOnlyMemory<float> _rest;
        private long _next;

        public override void Read(long first, Span<byte> to)
        {
            if (first != _next) throw new InvalidOperationException($"A streamed tensor was asked for element {first}; it stands at {_next}.");
            var values = MemoryMarshal.Cast<byte, float>(to);
            _next += values.Length;
            while (values.Length > 0)
            {
                if (_rest.IsEmpty)
                {
                    if (!_pieces.MoveNext()) throw new ArgumentException($"Fewer values came than the shape {Shape} holds.");
                    _rest = _pieces.Current;
                    continue;
                }
                var count = Math.Min(values.Length, _rest.Length);
                _rest.Span[..count].CopyTo(values);
                values = values[count..];
                _rest = _rest[count..];
            }
            if (_next < Shape.Count) return;
            // To the end of the list, so that what stands behind its last row is run too, and what reads ahead ends.
            if (!_rest.IsEmpty || _pieces.MoveNext()) throw new ArgumentException($"More values came than the shape {Shape} holds.");
            _pieces.Dispose();
        }
    }
}
