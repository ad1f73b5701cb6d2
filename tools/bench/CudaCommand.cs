using System.CommandLine;
using Plip.Configs;
using Plip.Engine;

namespace Plip.Bench;

/// <summary><c>bench cuda</c>: the GPU's limits, then every case on it, each beside the limit that binds it.</summary>
internal static class CudaCommand
{
    private const int Samples = 50;

    public static Command Create()
    {
        var filter = new Option<string>("--filter") { Description = "Only cases whose name or group holds this text; several texts, separated by commas, are alternatives.", DefaultValueFactory = _ => "" };
        var json = new Option<string?>("--json") { Description = "Write the results to this file, after every case." };
        var append = new Option<bool>("--append") { Description = "Keep the rows of other cases that the file has already, taken on the same GPU." };
        var types = new Option<DType[]>("--types") { Description = "How activations are stored: BF16, F32, or both after each other.", DefaultValueFactory = _ => [DType.BF16], AllowMultipleArgumentsPerToken = true };
        types.AcceptOnlyFromAmong("BF16", "F32");
        var small = new Option<bool>("--small") { Description = "One small case of each op, once: tries the program on the emulator and measures nothing." };
        var list = new Option<bool>("--list") { Description = "Only list the cases; needs no GPU." };
        var twin = new Option<string?>("--twin") { Description = "Only write the ops for a twin in another language (tools/gpu-check/torch_twin.py) to this file; needs no GPU." };
        var command = new Command("cuda", "Measure a GPU.") { filter, json, append, types, small, list, twin };
        command.SetAction(p =>
        {
            var chosen = p.GetValue(types)!;
            if (p.GetValue(twin) is { } path)
            {
                TwinCase.Save(path, chosen, p.GetValue(small) ? Sizes.Small : Sizes.Gpu, p.GetValue(filter)!);
                return 0;
            }
            var cases = chosen.SelectMany(t => p.GetValue(small) ? CudaCases.Small(t) : CudaCases.Of(t, Sizes.Gpu))
                .DistinctBy(c => c.Name).Where(c => CpuCommand.Takes(p.GetValue(filter)!, c)).ToList();
            if (cases.Count == 0) throw new BenchException($"no case holds \"{p.GetValue(filter)}\"; --list shows them all");
            if (p.GetValue(list))
            {
                foreach (var c in cases) Console.Out.WriteLine($"{c.Group,-10} {c.Name}");
                return 0;
            }
            return Measure(cases, p.GetValue(small) ? 1 : Samples, p.GetValue(json), p.GetValue(append));
        });
        return command;
    }

    private static int Measure(List<BenchCase> cases, int samples, string? file, bool append)
    {
        var before = append && File.Exists(file) ? BenchResult.Load(file) : null;
        using var gpu = new CudaDevice();
        using var timer = new GpuTimer(gpu, samples);
        var machine = GpuPeak.Measure(gpu, timer);
        Console.Out.WriteLine(machine.Describe());
        if (before != null && before.Machine.Gpu?.Name != machine.Gpu!.Name) throw new BenchException($"{file}: it was measured on another machine; name another file");
        var rows = new List<ResultRow>(before?.Rows.Where(r => !cases.Exists(c => c.Name == r.Name)) ?? []);
        var kept = rows.Count;
        var failed = 0;
        foreach (var c in cases)
        {
            try
            {
                using var work = c.Ours(gpu);
                var row = ResultRow.Of(c, timer.Median(work), FloorMs(machine, c));
                Console.Out.WriteLine(row.ToLine());
                rows.Add(row);
            }
            catch (Exception e) when (e is CudaOutOfMemoryException or CudaCompileException or ArgumentException or NotSupportedException)
            {
                // The device goes on after these; after a kernel's failure it does not, and the run ends.
                failed++;
                Console.Error.WriteLine($"bench: {c.Name}: {e.Message}");
            }
            if (file != null) new BenchResult(machine, rows).Save(file);
        }
        Console.Out.WriteLine($"{rows.Count - kept} cases, {failed} failed");
        return failed > 0 ? BenchCommand.Failed : 0;
    }

    /// <summary>F32 products have a limit of their own.</summary>
    private static double FloorMs(Machine machine, BenchCase c) =>
        Floor.Milliseconds(c.Flops, c.Bytes, c.Name.EndsWith("bf16", StringComparison.Ordinal) ? machine.PeakGflops : machine.Gpu!.F32Gflops, machine.BandwidthGbs);
}
