using System.Reflection;

namespace Plip.Engine;

/// <summary>
/// The text of kernels/*.cu, kernels/ladder/*.cu and kernels/common/*.cuh, which are resources of this assembly. <c>PLIP_KERNELS</c> names a folder that is read
/// in their place, so that a kernel can be changed and run without building the program.
/// </summary>
internal sealed class KernelSources
{
    private const string Prefix = "kernels/", Common = "kernels/common/";

    private readonly Dictionary<string, string> _kernels = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, string> _headers = new(StringComparer.Ordinal);

    private KernelSources() { }

    /// <summary>File name and text of every header, in order of the names.</summary>
    public IReadOnlyDictionary<string, string> Headers => _headers;

    /// <summary>Names of the kernels' files, without ".cu": "layer_norm", "ladder/layer_norm_1".</summary>
    public IReadOnlyCollection<string> Files => _kernels.Keys;

    /// <summary>The assembly's, or those of the folder that PLIP_KERNELS names.</summary>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    public static KernelSources Load()
    {
        var sources = new KernelSources();
        if (Environment.GetEnvironmentVariable("PLIP_KERNELS") is { Length: > 0 } folder) sources.ReadFolder(folder);
        else sources.ReadResources();
        return sources;
    }

    /// <summary>The text of "layer_norm" is kernels/layer_norm.cu.</summary>
    /// <exception cref="ArgumentException">There is no such file.</exception>
    public string Text(string file) => _kernels.TryGetValue(file, out var text) ? text
        : throw new ArgumentException($"there is no kernels/{file}.cu; there are {string.Join(", ", _kernels.Keys.Order(StringComparer.Ordinal))}");

    /// <summary>Names of the kernels in a file's text, in their order.</summary>
    public static IEnumerable<string> KernelsIn(string text)
    {
        const string mark = "__global__";
        text = KernelSignature.WithoutComments(text);
        for (var at = text.IndexOf(mark, StringComparison.Ordinal); at >= 0; at = text.IndexOf(mark, at + 1, StringComparison.Ordinal))
        {
            var head = text[(at + mark.Length)..text.IndexOf('{', at)];
            if (head.IndexOf("__launch_bounds__", StringComparison.Ordinal) is >= 0 and var bounds) head = head[(head.IndexOf(')', bounds) + 1)..];
            yield return head[..head.IndexOf('(')].Trim().Split(' ')[^1];
        }
    }

    /// <summary>Element types for which a file says it is compiled: of <c>// options -DTYPE=float|bf16</c>, "float" and "bf16".</summary>
    public static IEnumerable<string> TypesOf(string text)
    {
        const string option = "-DTYPE=";
        return text.Split('\n').Where(l => l.StartsWith("// options", StringComparison.Ordinal)).SelectMany(l => l.Split(' '))
            .Where(w => w.StartsWith(option, StringComparison.Ordinal)).SelectMany(w => w[option.Length..].Split('|')).Distinct();
    }

    /// <summary>Adds or replaces a kernel file for this device.</summary>
    public void Add(string file, string text) => _kernels[file] = text;

    /// <summary>Paths of all .cu files of a folder of kernels, earlier rungs included, in order.</summary>
    public static IEnumerable<string> FilesOf(string folder)
    {
        var ladder = Path.Combine(folder, "ladder");
        var files = Directory.EnumerateFiles(folder, "*.cu");
        return (Directory.Exists(ladder) ? files.Concat(Directory.EnumerateFiles(ladder, "*.cu")) : files).Order(StringComparer.Ordinal);
    }

    /// <summary>The architecture that a file says it needs, 90 of <c>// arch  sm_90a</c>; 0 for those that run everywhere.</summary>
    public static int ArchOf(string text)
    {
        const string mark = "// arch  sm_";
        var line = text.Split('\n').FirstOrDefault(l => l.StartsWith(mark, StringComparison.Ordinal));
        return line == null ? 0 : int.Parse(line[mark.Length..].TrimEnd('a', '\r', ' '), System.Globalization.CultureInfo.InvariantCulture);
    }

    private static string NameOf(string path) => path.Replace('\\', '/')[..^".cu".Length];

    private void ReadFolder(string folder)
    {
        foreach (var path in FilesOf(folder)) _kernels[NameOf(Path.GetRelativePath(folder, path))] = File.ReadAllText(path);
        foreach (var path in Directory.EnumerateFiles(Path.Combine(folder, "common"), "*.cuh")) _headers[Path.GetFileName(path)] = File.ReadAllText(path);
    }

    private void ReadResources()
    {
        var assembly = typeof(KernelSources).Assembly;
        foreach (var name in assembly.GetManifestResourceNames())
        {
            if (name.StartsWith(Common, StringComparison.Ordinal)) _headers[name[Common.Length..]] = Read(assembly, name);
            else if (name.StartsWith(Prefix, StringComparison.Ordinal)) _kernels[NameOf(name[Prefix.Length..])] = Read(assembly, name);
        }
    }

    private static string Read(Assembly assembly, string name)
    {
        using var reader = new StreamReader(assembly.GetManifestResourceStream(name)!);
        return reader.ReadToEnd();
    }
}
