using System.CommandLine;
using System.Globalization;
using Plip.Engine;

namespace Plip.Tool;

/// <summary>
/// <c>plip kernels mutate</c>: takes each barrier and wait out of the kernels, one at a time, and runs the cases that launch what it stood
/// in. One that nobody misses is a hole in the checks, or needs no place in the kernel; those that are known to be equivalent are listed.
/// </summary>
internal static class KernelsMutateCommand
{
    private static readonly int[] s_seeds = [1, 2, 3];

    public static Command Create()
    {
        var kernels = new Option<string>("--kernels") { Description = "The folder of the kernels' sources.", DefaultValueFactory = _ => "kernels" };
        var word = new Option<string>("--file") { Description = "Only files with this word in their name.", DefaultValueFactory = _ => "" };
        var command = new Command("mutate", "Take out each barrier and wait, one at a time; fails when the checks do not notice.") { kernels, word };
        command.SetAction(async (p, stop) =>
        {
            var folder = Path.GetFullPath(p.GetValue(kernels)!);
            if (!Directory.Exists(Path.Combine(folder, "common"))) throw new UsageException($"{folder} is not the folder of the kernels' sources");
            EmulatorRuns.Require();
            return await Run(Console.Out, folder, Equivalents.Read(Path.Combine(folder, "emulator", "equivalents.txt")), p.GetValue(word)!, stop);
        });
        return command;
    }

    private static async Task<int> Run(TextWriter o, string folder, Dictionary<string, string> equivalents, string word, CancellationToken stop)
    {
        var (cases, problems) = await EmulatorRuns.All(s_seeds[0], new Dictionary<string, string> { ["PLIP_KERNELS"] = folder });
        problems.AddRange(cases.Where(c => c.Problem.Length > 0).Select(c => $"{c.Name} {KernelCases.Name(c.Type)}: {c.Problem}"));
        if (problems.Count > 0) throw new CudaException($"the kernels fail as they are; see plip kernels check: {problems[0]}");

        var mutants = Mutants.Of(folder).Where(m => m.File.Contains(word, StringComparison.Ordinal)).ToList();
        var known = mutants.Select(m => m.Name).ToHashSet(StringComparer.Ordinal);
        int noticed = 0, equivalent = 0;
        var failed = new List<string>(equivalents.Keys.Where(e => word.Length == 0 && !known.Contains(e)).Select(e => $"{e}: listed as equivalent, and there is no such barrier"));
        var temporary = Directory.CreateTempSubdirectory("plip-mutants-").FullName;
        try
        {
            var options = new ParallelOptions { MaxDegreeOfParallelism = EmulatorRuns.Parallel, CancellationToken = stop };
            await Parallel.ForEachAsync(mutants, options, async (mutant, _) =>
            {
                var how = await Try(mutant, folder, temporary, cases);
                lock (failed)
                {
                    var listed = equivalents.ContainsKey(mutant.Name);
                    if (how != null && !listed) noticed++;
                    else if (how == null && listed) equivalent++;
                    else failed.Add(how == null ? $"{mutant.Name}: nobody misses the {mutant.Statement} of line {mutant.Line}" : $"{mutant.Name}: listed as equivalent, and it is missed: {how}");
                    o.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{(how == null == listed ? "ok    " : "FAILED")} {mutant.Name}, line {mutant.Line}: {how ?? "not missed"}"));
                }
            });
        }
        finally
        {
            Directory.Delete(temporary, recursive: true);
        }
        foreach (var f in failed.Order(StringComparer.Ordinal)) o.WriteLine($"FAILED {f.ReplaceLineEndings("\n  ")}");
        o.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{mutants.Count} barriers and waits, {equivalent} of them known to be equivalent: {noticed + equivalent} passed, {failed.Count} failed"));
        return failed.Count == 0 && mutants.Count > 0 ? 0 : CommandLine.Failed;
    }

    /// <summary>The first line of what noticed it, or null. F32 in one order first: that is enough for nearly all.</summary>
    private static async Task<string?> Try(Mutant mutant, string folder, string temporary, List<CaseRun> cases)
    {
        var copy = Path.Combine(temporary, mutant.Name.Replace(": ", "-", StringComparison.Ordinal).Replace('/', '-'));
        foreach (var path in KernelSources.FilesOf(folder).Concat(Directory.EnumerateFiles(Path.Combine(folder, "common"), "*.cuh")))
        {
            var to = Path.Combine(copy, Path.GetRelativePath(folder, path));
            Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            File.Copy(path, to);
        }
        File.WriteAllText(Path.Combine(copy, mutant.File), mutant.Text);
        var environment = new Dictionary<string, string> { ["PLIP_KERNELS"] = copy, ["PLIP_CACHE"] = Path.Combine(copy, "cache") };

        var files = mutant.File.EndsWith(".cu", StringComparison.Ordinal) ? [mutant.File[..^".cu".Length]] : Mutants.UsersOf(folder, mutant.File, mutant.Function);
        // Those that launch the very kernel come first.
        var wanted = cases.Where(c => c.Launches.Any(l => files.Contains(l.File))).OrderBy(c => c.Type).ThenByDescending(c => c.Launches.Any(l => l.Kernel == mutant.Function)).ToList();
        string? how = null;
        for (var k = 0; k <= s_seeds.Length && how == null; k++)
        {
            var chosen = k == 0 ? wanted.Where(c => c.Type == DType.F32) : wanted;
            how = await Notice(chosen, s_seeds[Math.Max(0, k - 1)], environment);
        }
        Directory.Delete(copy, recursive: true);
        return how;
    }

    private static async Task<string?> Notice(IEnumerable<CaseRun> cases, int seed, Dictionary<string, string> environment)
    {
        var arguments = cases.SelectMany(c => (string[])["--case", KernelsRunCommand.Name(c.Name, c.Type)]).ToArray();
        if (arguments.Length == 0) return null;
        var (runs, ended) = await EmulatorRuns.Run(seed, [.. arguments, "--stop"], environment);
        if (runs.FirstOrDefault(r => r.Problem.Length > 0) is not { } bad) return ended.Length > 0 ? ended : null;
        if (bad.Problem.Contains("does not compile", StringComparison.Ordinal)) throw new CudaException($"a mutant does not compile: {bad.Problem}");
        return $"{bad.Name}: {Report(bad.Problem)}";
    }

    /// <summary>The line that tells, of a message that tells more: the emulator's report where there is one.</summary>
    private static string Report(string problem)
    {
        var lines = problem.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        return lines.FirstOrDefault(l => l.Contains("kernel ", StringComparison.Ordinal) && l.Contains("block (", StringComparison.Ordinal)) ?? lines[0];
    }
}
