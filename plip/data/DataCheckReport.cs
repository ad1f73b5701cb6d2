using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Plip.Data;

/// <summary>What a data check counted and found. HasErrors is for the caller to act on.</summary>
/// <param name="Name">The data set.</param>
/// <param name="AnnotationFile">The file checked.</param>
/// <param name="Layout">Its layout.</param>
/// <param name="Splits">Counts per split, sorted by name; one row named "(all)" where there are no splits.</param>
/// <param name="CaptionWords">Lengths of the written captions, in words.</param>
/// <param name="FilesDecoded">Picture files that were decoded; 0 if that was left out.</param>
/// <param name="Findings">What is wrong or doubtful, each kind with its number and the first cases.</param>
/// <param name="Notes">Remarks of the layout.</param>
public sealed record DataCheckReport(
    string Name, string AnnotationFile, DatasetLayout Layout, SplitCounts[] Splits, CaptionLengths CaptionWords,
    int FilesDecoded, Finding[] Findings, string[] Notes)
{
    /// <summary>Whether any finding is an error.</summary>
    public bool HasErrors => Findings.Any(f => f.IsError && f.Count > 0);

    /// <summary>The report as JSON, indented.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, DataCheckJson.Default.DataCheckReport);

    /// <summary>The report as text for a terminal, lines ended by '\n'.</summary>
    public string ToText()
    {
        var text = new StringBuilder();
        Line($"{Name}: {Layout}, {AnnotationFile}");
        Line($"  {"split",-8} {"images",10} {"identities",11} {"captions",10} {"prompts",10}   images per identity (min/median/max)");
        foreach (var s in Splits)
            Line($"  {s.Split,-8} {s.Images,10} {s.Identities,11} {s.Captions,10} {s.PromptCaptions,10}   {s.ImagesPerIdentity.Min}/{s.ImagesPerIdentity.Median}/{s.ImagesPerIdentity.Max}");
        Line($"  caption lengths in words: {CaptionWords.Words.Min}/{CaptionWords.Words.Median}/{CaptionWords.Words.Max} (min/median/max)");
        var most = Math.Max(1, CaptionWords.Histogram.Max(b => b.Count));
        foreach (var bucket in CaptionWords.Histogram)
            Line($"    {bucket.Words,-8} {bucket.Count,10} {new string('#', (int)(40L * bucket.Count / most))}");
        Line(FilesDecoded > 0 ? $"  {FilesDecoded} picture files decoded" : (FormattableString)$"  picture files were not decoded");
        foreach (var note in Notes) Line($"  note: {note}");
        foreach (var finding in Findings.Where(f => f.Count > 0))
        {
            Line($"  {(finding.IsError ? "ERROR" : "warning")}: {finding.Count} × {finding.Kind}");
            foreach (var item in finding.Cases) Line($"    {item}");
            if (finding.Count > finding.Cases.Length) Line($"    … and {finding.Count - finding.Cases.Length} more");
        }
        Line(HasErrors ? (FormattableString)$"  not fit for use: see the errors above" : $"  no errors");
        return text.ToString();

        void Line(FormattableString line) => text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
    }
}

/// <summary>Counts of one split.</summary>
/// <param name="Split">Its name.</param>
/// <param name="Images">Entries.</param>
/// <param name="Identities">Different identities.</param>
/// <param name="Captions">Written captions.</param>
/// <param name="PromptCaptions">Captions made from attributes.</param>
/// <param name="ImagesPerIdentity">Smallest, median and largest number of images of an identity.</param>
public sealed record SplitCounts(string Split, int Images, int Identities, int Captions, int PromptCaptions, Spread ImagesPerIdentity);

/// <summary>Smallest, median and largest of some numbers; all 0 for none.</summary>
/// <param name="Min">The smallest.</param>
/// <param name="Median">The median: the mean of the middle two for an even count.</param>
/// <param name="Max">The largest.</param>
public sealed record Spread(int Min, double Median, int Max)
{
    internal static Spread Of(List<int> values)
    {
        if (values.Count == 0) return new(0, 0, 0);
        values.Sort();
        return new(values[0], (values[(values.Count - 1) / 2] + (double)values[values.Count / 2]) / 2, values[^1]);
    }
}

/// <summary>Lengths of captions.</summary>
/// <param name="Words">Smallest, median, largest.</param>
/// <param name="Histogram">Number of captions by length.</param>
public sealed record CaptionLengths(Spread Words, Bucket[] Histogram);

/// <summary>One bar of the histogram.</summary>
/// <param name="Words">The range, such as "10-19".</param>
/// <param name="Count">Captions in it.</param>
public sealed record Bucket(string Words, int Count);

/// <summary>One kind of finding.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="IsError">Whether the data cannot be used as it is; else a warning.</param>
/// <param name="Count">How often it was found.</param>
/// <param name="Cases">The first of them, up to the list's cap.</param>
public sealed record Finding(string Kind, bool IsError, int Count, string[] Cases);

/// <summary>Serialisation made at build time: no reflection under Native AOT.</summary>
[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true)]
[JsonSerializable(typeof(DataCheckReport))]
internal sealed partial class DataCheckJson : JsonSerializerContext;
