using Plip.Engine;

namespace Plip.Tool;

/// <summary>One case in one type, as <c>plip kernels run</c> tells it: what it launched, and what went wrong.</summary>
/// <param name="Name">The case.</param>
/// <param name="Type">Its type.</param>
/// <param name="Problem">The emulator's report, or where the devices differ; "" when all is well.</param>
/// <param name="Launches">What it launched.</param>
internal sealed record CaseRun(string Name, DType Type, string Problem, IReadOnlyList<CaseLaunch> Launches)
{
    private const char Field = '\t', LineEnd = '\v';

    /// <summary>As one line of text.</summary>
    public override string ToString() => string.Join(Field,
        [Name, KernelCases.Name(Type), Problem.Replace('\t', ' ').ReplaceLineEndings(LineEnd.ToString()), .. Launches.Select(l => l.ToString())]);

    /// <summary>Reads such a line; null for any other.</summary>
    public static CaseRun? Parse(string line)
    {
        var fields = line.Split(Field);
        if (fields.Length < 3 || !Enum.TryParse<DType>(fields[1], out var type)) return null;
        return new CaseRun(fields[0], type, fields[2].Replace(LineEnd, '\n'), [.. fields.Skip(3).Select(CaseLaunch.Parse)]);
    }
}

/// <summary>Launches of a kernel in one shape.</summary>
internal sealed record CaseLaunch(string File, string Kernel, string Type, string Shape, int Count)
{
    private const char Part = '|';

    public override string ToString() => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{File}{Part}{Kernel}{Part}{Type}{Part}{Shape}{Part}{Count}");

    public static CaseLaunch Parse(string text) =>
        text.Split(Part) is [var file, var kernel, var type, var shape, var count]
            ? new CaseLaunch(file, kernel, type, shape, int.Parse(count, System.Globalization.CultureInfo.InvariantCulture))
            : throw new FormatException($"\"{text}\" is no launch: expected file|kernel|type|shape|count");
}
