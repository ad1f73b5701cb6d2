using System.Globalization;
using System.Text;
using Plip.Engine;

namespace Plip.Weights;

/// <summary>A tensor in which a file and a model differ.</summary>
/// <param name="Name">Relative to the encoder; of an unused tensor, as in the file.</param>
/// <param name="Expected">The model's shape, if it has the tensor.</param>
/// <param name="Found">The file's, if that has it.</param>
/// <param name="Why">The reason, and what follows from it.</param>
public sealed record StartDifference(string Name, Shape? Expected, Shape? Found, string Why);

/// <summary>What an encoder took from a file of weights, and what it did not, with reasons.</summary>
/// <param name="Encoder">"visual" or "textual".</param>
/// <param name="Path">The file.</param>
/// <param name="Source">Where it seems to come from.</param>
/// <param name="Matched">Names that were taken.</param>
/// <param name="Tensors">How many the encoder has.</param>
/// <param name="MatchedElements">Elements of what was taken.</param>
/// <param name="Elements">Elements of all the encoder's tensors.</param>
/// <param name="Missing">What the encoder has and the file lacks: it keeps its initial value.</param>
/// <param name="OtherShape">What both have, differently: it keeps its initial value.</param>
/// <param name="Unused">What the file has and the encoder lacks.</param>
/// <param name="Notes">What was made of the file's tensors: copies, resampled tables.</param>
public sealed record StartReport(
    string Encoder, string Path, string Source, IReadOnlyList<string> Matched, int Tensors, long MatchedElements, long Elements,
    IReadOnlyList<StartDifference> Missing, IReadOnlyList<StartDifference> OtherShape, IReadOnlyList<StartDifference> Unused, IReadOnlyList<string> Notes)
{
    private const int Named = 3; // of each reason: the rest stands in the whole report

    /// <summary>A few lines: counts, and each reason once.</summary>
    public string Brief()
    {
        var text = Head();
        foreach (var (kind, differences) in Kinds)
            foreach (var group in differences.GroupBy(d => d.Why))
            {
                var names = group.Select(d => Printable.Text(d.Name)).ToArray();
                text.Append(CultureInfo.InvariantCulture, $"\n  {kind,-12} {names.Length}: {string.Join(", ", names.Take(Named))}{(names.Length > Named ? ", …" : "")}: {group.Key}");
            }
        return text.ToString();
    }

    /// <summary>All of it, a line for each tensor.</summary>
    public override string ToString()
    {
        var text = Head();
        foreach (var (kind, differences) in Kinds)
            foreach (var d in differences)
                text.Append(CultureInfo.InvariantCulture, $"\n  {kind,-12} {Printable.Text(d.Name)} {Shapes(d)}: {d.Why}");
        foreach (var name in Matched) text.Append(CultureInfo.InvariantCulture, $"\n  matched      {name}");
        return text.ToString();
    }

    private (string Kind, IReadOnlyList<StartDifference> Differences)[] Kinds => [("missing", Missing), ("other shape", OtherShape), ("unused", Unused)];

    private StringBuilder Head()
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{Encoder} starts from {Path} ({Source})");
        text.Append(CultureInfo.InvariantCulture, $"\n  matched      {Matched.Count} of {Tensors} tensors, {MatchedElements:#,0} of {Elements:#,0} numbers");
        foreach (var note in Notes) text.Append("\n  note         ").Append(note);
        return text;
    }

    private static string Shapes(StartDifference d) => (d.Expected, d.Found) switch
    {
        ({ } model, { } file) => $"{model} here, {file} in the file",
        ({ } model, null) => model.ToString(),
        (null, { } file) => file.ToString(),
        _ => "",
    };
}
