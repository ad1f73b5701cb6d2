using System.Text.RegularExpressions;
using Plip.Engine;

namespace Plip.Tool;

/// <summary>A kernel source without one of its barriers or waits.</summary>
/// <param name="File">"softmax.cu", or "common/warp.cuh".</param>
/// <param name="Function">The function it was taken from.</param>
/// <param name="Ordinal">Which of that function's, from 1.</param>
/// <param name="Line">Where it stood, from 1.</param>
/// <param name="Statement">What was taken.</param>
/// <param name="Text">The file without it.</param>
internal sealed record Mutant(string File, string Function, int Ordinal, int Line, string Statement, string Text)
{
    /// <summary>As the list of equivalents names it: lines may move, functions stay.</summary>
    public string Name => FormattableString.Invariant($"{File}: {Function}: {Ordinal}");
}

/// <summary>Every barrier and wait of kernels/*.cu, kernels/ladder/*.cu and kernels/common/*.cuh, found from the text.</summary>
internal static partial class Mutants
{
    /// <summary>Of all files of a folder of kernels that the emulator can run, in order.</summary>
    public static List<Mutant> Of(string folder)
    {
        var files = KernelSources.FilesOf(folder).Concat(Directory.EnumerateFiles(Path.Combine(folder, "common"), "*.cuh"));
        files = files.Where(path => KernelSources.ArchOf(File.ReadAllText(path)) <= EmulatorRuns.Arch);
        return [.. files.Order(StringComparer.Ordinal).SelectMany(path => Of(Path.GetRelativePath(folder, path).Replace('\\', '/'), File.ReadAllText(path)))];
    }

    /// <summary>Of one file.</summary>
    public static IEnumerable<Mutant> Of(string file, string text)
    {
        var functions = FunctionsOf(text);
        var taken = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (Match m in Synchronisation().Matches(KernelSignature.WithoutComments(text)))
        {
            // Comments end their lines, so the places of what stands before them are those of the whole text, line by line.
            var at = Place(text, m.Index);
            var line = text.AsSpan(0, at).Count('\n') + 1;
            var function = functions.LastOrDefault(f => f.Line <= line).Name ?? "";
            var ordinal = taken[function] = taken.GetValueOrDefault(function) + 1;
            yield return new Mutant(file, function, ordinal, line, m.Value, string.Concat(text.AsSpan(0, at), ";", text.AsSpan(at + m.Length)));
        }
    }

    /// <summary>
    /// The .cu files that a change to a header's function reaches: those that include the header and call it, or a function of a header that does.
    /// </summary>
    /// <param name="folder">Of the kernels.</param>
    /// <param name="header">"common/warp.cuh".</param>
    /// <param name="function">One of its functions: others may have a function of that name too.</param>
    public static List<string> UsersOf(string folder, string header, string function)
    {
        header = Path.GetFileName(header);
        var reached = new HashSet<string>(StringComparer.Ordinal) { function };
        var headers = Directory.EnumerateFiles(Path.Combine(folder, "common"), "*.cuh").Order(StringComparer.Ordinal).Select(File.ReadAllText).ToArray();
        for (var before = 0; before != reached.Count;)
        {
            before = reached.Count;
            foreach (var text in headers)
                foreach (var (name, _, body) in FunctionsOf(text))
                    if (reached.Any(r => Calls(body, r))) reached.Add(name);
        }
        return [.. KernelSources.FilesOf(folder).Where(path => Includes(folder, path, header) && reached.Any(r => Calls(KernelSignature.WithoutComments(File.ReadAllText(path)), r)))
            .Select(path => Path.GetRelativePath(folder, path).Replace('\\', '/')[..^".cu".Length]).Order(StringComparer.Ordinal)];
    }

    /// <summary>Whether a file includes a header of common/, itself or by way of others.</summary>
    private static bool Includes(string folder, string path, string header)
    {
        foreach (Match m in Include().Matches(File.ReadAllText(path)))
        {
            var name = m.Groups["name"].Value;
            if (name == header || Includes(folder, Path.Combine(folder, "common", name), header)) return true;
        }
        return false;
    }

    /// <summary>Functions of the device: name, line of the declaration, and the text up to the next.</summary>
    private static List<(string Name, int Line, string Body)> FunctionsOf(string text)
    {
        text = KernelSignature.WithoutComments(text);
        var found = Declaration().Matches(text);
        var functions = new List<(string, int, string)>();
        for (var k = 0; k < found.Count; k++)
        {
            var end = k + 1 < found.Count ? found[k + 1].Index : text.Length;
            var body = found[k].Index + found[k].Length;
            functions.Add((found[k].Groups["name"].Value, text.AsSpan(0, found[k].Index).Count('\n') + 1, text[body..end]));
        }
        return functions;
    }

    private static bool Calls(string body, string function) => Regex.IsMatch(body, $@"\b{Regex.Escape(function)}\s*(<[^;(){{}}]*>)?\s*\(");

    /// <summary>The place in the whole text of one in the text without comments.</summary>
    private static int Place(string text, int at)
    {
        var (left, start) = (at, 0);
        foreach (var line in text.Split('\n'))
        {
            var comment = line.IndexOf("//", StringComparison.Ordinal);
            var kept = (comment < 0 ? line.Length : comment) + 1;
            if (left < kept) return start + left;
            left -= kept;
            start += line.Length + 1;
        }
        throw new ArgumentOutOfRangeException(nameof(at), at, "beyond the text");
    }

    [GeneratedRegex(@"\b(__syncthreads\s*\(\s*\)|__syncwarp\s*\([^()]*\)|cp_async_wait\s*<[^<>]*>\s*\(\s*\)|cp_async_commit\s*\(\s*\)|barrier_wait\s*\([^()]*\))\s*;")]
    private static partial Regex Synchronisation();

    [GeneratedRegex(@"^#include ""(?<name>[^""]+)""", RegexOptions.Multiline)]
    private static partial Regex Include();

    [GeneratedRegex(@"__(device|global)__[^;{}()]*?(__launch_bounds__\([^()]*\)\s*)?(?<name>\w+)\s*\(")]
    private static partial Regex Declaration();
}
