using System.Globalization;
using System.Text;

namespace Plip.Engine;

/// <summary>How a state and a model differ. Shapes are PyTorch's.</summary>
/// <param name="Missing">What the model has and the state lacks.</param>
/// <param name="Unexpected">What the state has and the model lacks.</param>
/// <param name="Mismatched">What both have with different shapes.</param>
public sealed record LoadReport(
    IReadOnlyList<(string Name, Shape Shape)> Missing,
    IReadOnlyList<(string Name, Shape Shape)> Unexpected,
    IReadOnlyList<(string Name, Shape Expected, Shape Found)> Mismatched)
{
    private const int Shown = 10; // of each kind: a wrong file would otherwise fill the screen

    /// <summary>True when the state and the model agree.</summary>
    public bool IsExact => Missing.Count + Unexpected.Count + Mismatched.Count == 0;

    /// <summary>All differences with shapes and nearest names, several lines.</summary>
    public override string ToString()
    {
        if (IsExact) return "the state fits the model";
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"the state does not fit the model: {Missing.Count} missing, {Unexpected.Count} unexpected, {Mismatched.Count} of another shape");
        if (CommonPrefix() is { } prefix)
            text.Append(CultureInfo.InvariantCulture, $"\n  the state's names begin with \"{prefix}\", the model's do not: load state.Under(\"{prefix}\")");
        var unexpected = Unexpected.Select(u => u.Name).ToArray();
        List(text, Mismatched, m => $"shape      {m.Name}: the model has {m.Expected}, the state {m.Found}");
        List(text, Missing, m => $"missing    {m.Name} {m.Shape}{NearestName.Hint(m.Name, unexpected)}");
        List(text, Unexpected, u => $"unexpected {u.Name} {u.Shape}");
        return text.ToString();
    }

    /// <summary>A prefix that leads from every missing name to an unexpected one: the commonest cause, as with "module.".</summary>
    private string? CommonPrefix()
    {
        if (Missing.Count == 0 || Unexpected.Count == 0) return null;
        var first = Missing[0].Name;
        var names = Unexpected.Select(u => u.Name).ToHashSet(StringComparer.Ordinal);
        foreach (var (name, _) in Unexpected)
        {
            if (name.Length == first.Length || !name.EndsWith("." + first, StringComparison.Ordinal)) continue;
            var prefix = name[..^first.Length];
            if (Missing.All(m => names.Contains(prefix + m.Name))) return prefix;
        }
        return null;
    }

    private static void List<T>(StringBuilder text, IReadOnlyList<T> items, Func<T, string> line)
    {
        foreach (var item in items.Take(Shown)) text.Append("\n  ").Append(line(item));
        if (items.Count > Shown) text.Append(CultureInfo.InvariantCulture, $"\n  … and {items.Count - Shown} more");
    }
}

/// <summary>A state that does not fit the model it was to be loaded into; nothing was changed.</summary>
public sealed class StateMismatchException(LoadReport report) : FormatException(report.ToString())
{
    /// <summary>The differences.</summary>
    public LoadReport Report { get; } = report;
}
