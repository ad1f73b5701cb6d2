using System.Text.Json;

namespace Plip.Training;

/// <summary>
/// Metrics as JSON lines, one object a line, appended and flushed line by line: a killed run loses at most the line
/// being written, and a resumed one goes on in the same file.
/// </summary>
public sealed class MetricsLog : IDisposable
{
    private readonly FileStream _file;
    private readonly MemoryStream _line = new();

    /// <summary>Opens or creates the file.</summary>
    /// <param name="path">Usually metrics.jsonl in the run's folder.</param>
    /// <param name="keepThroughStep">On resume: lines of later steps are dropped, for the resumed run writes them again.</param>
    public MetricsLog(string path, long? keepThroughStep = null)
    {
        var kept = keepThroughStep is { } last && File.Exists(path) ? Read(path).Where(e => e.Step <= last).ToList() : null;
        _file = new FileStream(path, kept != null || keepThroughStep == null ? FileMode.Create : FileMode.Append, FileAccess.Write, FileShare.Read);
        if (kept == null) return;
        foreach (var e in kept) Write(e.Kind, e.Step, e.Values);
    }

    /// <summary>Appends a line {"kind", "step", values…}.</summary>
    public void Write(string kind, long step, IEnumerable<KeyValuePair<string, double>> values)
    {
        _line.SetLength(0);
        using (var json = new Utf8JsonWriter(_line))
        {
            json.WriteStartObject();
            json.WriteString("kind", kind);
            json.WriteNumber("step", step);
            foreach (var (name, value) in values)
            {
                // JSON has no NaN; a diverged run must still be readable.
                if (double.IsFinite(value)) json.WriteNumber(name, value);
                else json.WriteNull(name);
            }
            json.WriteEndObject();
        }
        _line.WriteByte((byte)'\n');
        _line.WriteTo(_file);
        _file.Flush();
    }

    /// <summary>Reads a file back; a last line that a killed run cut short is left out.</summary>
    /// <exception cref="FormatException">Any other line is not a metrics line; names file and line.</exception>
    public static IReadOnlyList<MetricsEntry> Read(string path)
    {
        var lines = File.ReadAllLines(path);
        var entries = new List<MetricsEntry>(lines.Length);
        for (var i = 0; i < lines.Length; i++)
        {
            if (Parse(lines[i]) is { } entry) entries.Add(entry);
            else if (i < lines.Length - 1)
                throw new FormatException(FormattableString.Invariant($"{path}, line {i + 1}: is no metrics line; expected an object with \"kind\", \"step\" and numbers. Remove the line, or move the file away."));
        }
        return entries;
    }

    private static MetricsEntry? Parse(string line)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            var root = document.RootElement;
            var values = new Dictionary<string, double>(StringComparer.Ordinal);
            foreach (var p in root.EnumerateObject())
                if (p.Name is not ("kind" or "step")) values[p.Name] = p.Value.ValueKind == JsonValueKind.Number ? p.Value.GetDouble() : double.NaN;
            return new MetricsEntry(root.GetProperty("kind").GetString() ?? "", root.GetProperty("step").GetInt64(), values);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();
}

/// <summary>A line of the metrics file.</summary>
/// <param name="Kind">"train" or "validation".</param>
/// <param name="Step">Optimiser steps done.</param>
/// <param name="Values">By name; NaN where the value was not finite.</param>
public sealed record MetricsEntry(string Kind, long Step, IReadOnlyDictionary<string, double> Values);
