using System.CommandLine;
using System.Globalization;
using Plip.Engine;

namespace Plip.Bench;

/// <summary><c>bench cpu</c>: the machine, then every case that the filter takes, ours and the peers' in turn.</summary>
internal static class CpuCommand
{
    public static Command Create(PeerRegistry peers)
    {
        var filter = new Option<string>("--filter") { Description = "Only cases whose name or group holds this text; several texts, separated by commas, are alternatives.", DefaultValueFactory = _ => "" };
        var json = new Option<string?>("--json") { Description = "Write the results to this file." };
        var save = new Option<bool>("--save") { Description = "Write the results to tools/bench/results/cpu-<date>.json (run from the repository's root)." };
        var threads = new Option<int>("--threads") { Description = "Threads of ours and of the peers; 0 takes every core.", DefaultValueFactory = _ => 0 };
        var repeats = new Option<int>("--repeats") { Description = "Samples a case, of which the median is reported; cases of a second and more take fewer, but at least 3.", DefaultValueFactory = _ => 21 };
        var list = new Option<bool>("--list") { Description = "Only list the cases." };
        var command = new Command("cpu", "Measure the CPU device.") { filter, json, save, threads, repeats, list };
        command.SetAction(p =>
        {
            var cases = CaseList.All().Where(c => Takes(p.GetValue(filter)!, c)).ToList();
            if (cases.Count == 0) throw new BenchException($"no case holds \"{p.GetValue(filter)}\"; --list shows them all");
            peers.RequireKnown(CaseList.All().Select(c => c.Name));
            if (p.GetValue(list))
            {
                foreach (var c in cases) Console.Out.WriteLine($"{c.Group,-10} {c.Name}{(peers.Has(c.Name) ? "" : "  (no peer)")}");
                return 0;
            }
            var folder = p.GetValue(save) ? ResultFolder() : null;
            return Measure(cases, peers, Threads(p.GetValue(threads)), Math.Max(1, p.GetValue(repeats)), [p.GetValue(json), folder]);
        });
        return command;
    }

    private static int Measure(List<BenchCase> cases, PeerRegistry peers, int threads, int repeats, string?[] files)
    {
        using var device = new CpuDevice(threads);
        var machine = Machine.Measure(threads, peers);
        Console.Out.WriteLine(machine.Describe());
        peers.Start(threads);
        var rows = new List<ResultRow>();
        var failed = false;
        var runner = new CaseRunner(device, peers, new Sampler(repeats), machine);
        foreach (var c in cases)
        {
            try
            {
                foreach (var row in runner.Run(c))
                {
                    Console.Out.WriteLine(row.ToLine());
                    rows.Add(row);
                }
            }
            catch (BenchException e)
            {
                failed = true;
                Console.Error.WriteLine($"bench: {c.Name}: {e.Message}");
            }
            // After each case: a run of an hour that is stopped keeps what it has.
            foreach (var file in files)
                if (file != null) new BenchResult(machine, rows).Save(file);
        }
        return failed ? BenchCommand.Failed : 0;
    }

    internal static bool Takes(string filter, BenchCase c) =>
        filter.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) is var texts
        && (texts.Length == 0 || texts.Any(t => c.Name.Contains(t, StringComparison.OrdinalIgnoreCase) || c.Group.Equals(t, StringComparison.OrdinalIgnoreCase)));

    private static int Threads(int asked)
    {
        if (asked is < 0 or > 1024) throw new BenchException(FormattableString.Invariant($"--threads is {asked}; expected 0 to 1024"));
        return asked > 0 ? asked : Environment.ProcessorCount;
    }

    private static string ResultFolder()
    {
        const string folder = "tools/bench/results";
        if (!Directory.Exists("tools/bench")) throw new BenchException($"--save writes to {folder}, which is not below the current directory; run it from the repository's root, or use --json FILE");
        Directory.CreateDirectory(folder);
        return Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"cpu-{DateTime.UtcNow:yyyy-MM-dd}.json"));
    }
}
