using System.CommandLine;
using System.Globalization;
using Plip.Engine;

namespace Plip.Tool;

/// <summary>
/// <c>plip kernels check</c>: every kernel of kernels/*.cu under the emulator's check mode, strict and in random order: races, accesses out of
/// bounds or to memory nobody wrote, missing waits, divergent barriers, and results other than the CPU's.
/// </summary>
internal static class KernelsCheckCommand
{
    private const int ShapesShown = 3;

    public static Command Create()
    {
        var seed = new Option<int>("--seed") { Description = "Order of blocks, warps and lanes.", DefaultValueFactory = _ => 1 };
        var command = new Command("check", "Run every kernel in the emulator's check mode; fails on any report, and for a kernel that no case launches.") { seed };
        command.SetAction(p =>
        {
            EmulatorRuns.Require();
            var (cases, problems) = EmulatorRuns.All(p.GetValue(seed)).GetAwaiter().GetResult();
            return Print(Console.Out, KernelSources.Load(), cases, problems);
        });
        return command;
    }

    /// <summary>A line for each kernel that there is, then what went wrong; 0 when nothing did.</summary>
    internal static int Print(TextWriter o, KernelSources sources, IReadOnlyList<CaseRun> cases, IReadOnlyList<string> problems)
    {
        var failed = cases.Where(c => c.Problem.Length > 0).ToList();
        var faults = new List<string>(problems);
        var count = 0;
        foreach (var file in sources.Files.Order(StringComparer.Ordinal))
        {
            var text = sources.Text(file);
            if (KernelSources.ArchOf(text) is > EmulatorRuns.Arch and var arch)
            {
                o.WriteLine($"not run {file}.cu: it needs sm_{arch}, which the emulator has not; tools/gpu-check runs it");
                continue;
            }
            var types = new HashSet<string>(StringComparer.Ordinal);
            foreach (var kernel in KernelSources.KernelsIn(text))
            {
                count++;
                var launches = cases.SelectMany(c => c.Launches).Where(l => l.File == file && l.Kernel == kernel).ToList();
                types.UnionWith(launches.Select(l => l.Type));
                var shapes = launches.Select(l => l.Shape).Distinct().ToList();
                var bad = failed.Any(c => c.Problem.Contains($"kernel {kernel},", StringComparison.Ordinal));
                o.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{(bad ? "FAILED" : launches.Count == 0 ? "MISSED" : "ok    ")} {file}.cu {kernel}: {launches.Sum(l => l.Count)} launches in {shapes.Count} shapes: {string.Join(' ', shapes.Take(ShapesShown))}{(shapes.Count > ShapesShown ? " …" : "")}; {string.Join(' ', launches.Select(l => l.Type).Where(t => t.Length > 0).Distinct())}").TrimEnd(' ', ';', ':'));
                // A case that failed may have launched it.
                if (launches.Count == 0 && failed.Count == 0 && problems.Count == 0) faults.Add($"kernels/{file}.cu: no case launches {kernel}; add one to tools/plip/kernels/cases");
            }
            if (types.Count == 0 || failed.Count > 0 || problems.Count > 0) continue;
            foreach (var type in KernelSources.TypesOf(text).Where(t => t is "float" or "bf16" or "half" && !types.Contains(t)))
                faults.Add($"kernels/{file}.cu is compiled with TYPE={type}, and no case launches it so; add the type to one in tools/plip/kernels/cases");
        }
        foreach (var c in failed) faults.Add($"{c.Name} {KernelCases.Name(c.Type)}: {c.Problem.ReplaceLineEndings("\n  ")}");
        var missing = KernelsRunCommand.All.Count() - cases.Count;
        if (missing > 0) faults.Add(string.Create(CultureInfo.InvariantCulture, $"{missing} cases were not run"));
        foreach (var fault in faults) o.WriteLine($"FAILED {fault}");
        o.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{count} kernels: {cases.Count - failed.Count} cases passed, {faults.Count} failed"));
        return faults.Count == 0 ? 0 : CommandLine.Failed;
    }
}
