using System.Diagnostics;
using System.Globalization;
using Plip.Engine;

namespace Plip.Tool;

/// <summary>Cases in processes of their own, on the emulator in check mode: its mode is fixed when a process starts, and a case may take it down.</summary>
internal static class EmulatorRuns
{
    /// <summary>The newest architecture whose instructions the emulator has, 10·major + minor: Hopper's wgmma, mbarriers and TMA too. It plays an 8.0.</summary>
    public const int Arch = 90;

    private const int SecondsOfSilence = 300; // a kernel that hangs; a whole part takes less

    /// <summary>How many run at once.</summary>
    public static int Parallel => Math.Clamp(Environment.ProcessorCount, 1, 8);

    /// <summary>Chooses the emulator for this process, or says how to get one.</summary>
    /// <exception cref="CudaException">There is none.</exception>
    public static void Require()
    {
        Environment.SetEnvironmentVariable("PLIP_CUDA", "emulator");
        if (!Cuda.IsAvailable(out var why))
            throw new CudaException($"kernels are checked on the CUDA emulator: {why} (kernels/emulator/build.sh out/emulator, which needs g++, then PLIP_CUDA_EMULATOR=out/emulator/libcuda_emulator.so)");
    }

    /// <summary>Runs <c>plip kernels run</c> with these arguments; what it said of each case, and how it ended when that was not of its own will.</summary>
    /// <param name="seed">Order of blocks, warps and lanes.</param>
    /// <param name="arguments">Which cases.</param>
    /// <param name="environment">Variables besides the emulator's.</param>
    /// <param name="said">Called with each case as it ends.</param>
    public static async Task<(List<CaseRun> Cases, string Ended)> Run(
        int seed, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null, Action<CaseRun>? said = null)
    {
        var start = new ProcessStartInfo { RedirectStandardOutput = true, RedirectStandardError = true };
        // Run by dotnet, as a .dll, or as a program.
        start.FileName = Environment.ProcessPath!;
        if (Path.GetFileNameWithoutExtension(start.FileName) == "dotnet") start.ArgumentList.Add(Environment.GetCommandLineArgs()[0]);
        foreach (var a in (IEnumerable<string>)["kernels", "run", .. arguments]) start.ArgumentList.Add(a);
        start.Environment["PLIP_CUDA"] = "emulator";
        start.Environment["PLIP_EMULATOR"] = string.Create(CultureInfo.InvariantCulture, $"check,strict,random={seed},threads=1");
        foreach (var (name, value) in environment ?? new Dictionary<string, string>()) start.Environment[name] = value;

        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var cases = new List<CaseRun>();
        try
        {
            while (await process.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(SecondsOfSilence)) is { } line)
            {
                if (CaseRun.Parse(line) is not { } run) continue;
                cases.Add(run);
                said?.Invoke(run);
            }
        }
        catch (TimeoutException)
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync();
            return (cases, $"said nothing for {SecondsOfSilence} s after {(cases.Count == 0 ? "its start" : cases[^1].Name)}");
        }
        await process.WaitForExitAsync();
        var reason = (await errors).Trim();
        return (cases, process.ExitCode is 0 or CommandLine.Failed && reason.Length == 0 ? "" : $"ended with status {process.ExitCode} after {(cases.Count == 0 ? "its start" : cases[^1].Name)}: {reason}");
    }

    /// <summary>All cases, in as many processes as there are cores.</summary>
    public static async Task<(List<CaseRun> Cases, List<string> Problems)> All(int seed, IReadOnlyDictionary<string, string>? environment = null)
    {
        var parts = Parallel;
        var runs = await Task.WhenAll(Enumerable.Range(0, parts).Select(k => Run(
            seed, ["--part", k.ToString(CultureInfo.InvariantCulture), parts.ToString(CultureInfo.InvariantCulture)], environment)));
        return ([.. runs.SelectMany(r => r.Cases)], [.. runs.Select(r => r.Ended).Where(e => e.Length > 0)]);
    }
}
