using System.Collections;

namespace Plip.Engine;

/// <summary>Tensors by name, in order: what a checkpoint holds and what a model loads. Names are PyTorch's.</summary>
public sealed class StateDict : IEnumerable<KeyValuePair<string, StateTensor>>
{
    private readonly List<KeyValuePair<string, StateTensor>> _entries = [];
    private readonly Dictionary<string, int> _index = new(StringComparer.Ordinal);

    /// <summary>Number of tensors.</summary>
    public int Count => _entries.Count;

    /// <summary>The names, in order.</summary>
    public IEnumerable<string> Names => _entries.Select(e => e.Key);

    /// <summary>The tensor of this name.</summary>
    /// <exception cref="KeyNotFoundException">There is none; the message gives the nearest names.</exception>
    public StateTensor this[string name] => TryGet(name) ?? throw new KeyNotFoundException(
        $"no tensor \"{name}\" among {Count}{NearestName.Hint(name, Names)}");

    /// <summary>The tensor of this name, or null.</summary>
    public StateTensor? TryGet(string name) => _index.TryGetValue(name, out var i) ? _entries[i].Value : null;

    /// <summary>Appends a tensor.</summary>
    /// <exception cref="ArgumentException">The name is taken.</exception>
    public void Add(string name, StateTensor tensor)
    {
        if (!_index.TryAdd(name, _entries.Count)) throw new ArgumentException($"the state holds a \"{name}\" already");
        _entries.Add(new(name, tensor));
    }

    /// <summary>Appends all tensors of another state, each name with a prefix such as "model.".</summary>
    /// <exception cref="ArgumentException">A name is taken.</exception>
    public void Add(StateDict other, string prefix = "")
    {
        foreach (var (name, tensor) in other) Add(prefix + name, tensor);
    }

    /// <summary>The tensors whose names begin with <paramref name="prefix"/>, with it removed. Nothing is copied.</summary>
    public StateDict Under(string prefix) =>
        Rename(name => name.StartsWith(prefix, StringComparison.Ordinal) ? name[prefix.Length..] : null);

    /// <summary>The same tensors under new names; those for which <paramref name="rename"/> gives null are left out.</summary>
    /// <exception cref="ArgumentException">Two tensors get one name.</exception>
    public StateDict Rename(Func<string, string?> rename)
    {
        var result = new StateDict();
        foreach (var (name, tensor) in _entries)
            if (rename(name) is { } renamed) result.Add(renamed, tensor);
        return result;
    }

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, StateTensor>> GetEnumerator() => _entries.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
