using System.Collections;

namespace Plip.Engine;

/// <summary>Parts that differ by number alone; their names are "0", "1", …, as in PyTorch's ModuleList and Sequential, behind a prefix where PyTorch has one.</summary>
public sealed class ModuleList<T> : Module, IReadOnlyList<T> where T : Module
{
    private readonly List<T> _items = [];

    /// <summary>A list of these modules.</summary>
    public ModuleList(IEnumerable<T> modules, string prefix = "")
    {
        foreach (var m in modules) _items.Add(Child(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{prefix}{_items.Count}"), m));
    }

    /// <summary>Number of modules.</summary>
    public int Count => _items.Count;

    /// <summary>The module of this number.</summary>
    public T this[int index] => _items[index];

    /// <inheritdoc/>
    public IEnumerator<T> GetEnumerator() => _items.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
