using System.Diagnostics;
using System.Text.Json;
using Plip.Tests.Engine;
using Xunit;

namespace Plip.Tests.Tools;

/// <summary>
/// <c>tools/gpu-check/run</c> with programs that fail, stall and succeed in place of ours: what it says of each, and that one stops no other.
/// </summary>
public sealed class GpuCheckTests
{
    private const string Doctor = "echo 'gpu            a GPU'; echo 'cuda kernels   ok: exact'";

    [Fact]
    public void A_part_that_fails_or_is_late_stops_no_other_and_is_told()
    {
        using var folder = new TemporaryDirectory();
        // Comparing fails; the benchmark of steps stalls and is stopped; profiling works; nothing writes the result.
        var (code, output) = Run(folder, limit: 8, $"case $1 in doctor) {Doctor} ;; kernels) echo 'one \"case\" differs'; exit 1 ;; profile) echo profiled ;; esac",
            "case \"$*\" in *--twin*) exit 0 ;; *step*) sleep 60 ;; *) echo timed ;; esac");
        Assert.Equal(1, code);
        var parts = Parts(folder);
        Assert.Equal("ok", parts["doctor"]);
        Assert.Equal("failed", parts["compare"]);
        Assert.Equal("ok", parts["op benchmarks"]);
        Assert.Equal("late", parts["steps"]);
        Assert.Equal("ok", parts["profile"]);
        Assert.Equal("not run", parts["op benchmarks in F32"]);
        Assert.Equal("failed", parts["result"]);
        Assert.Contains("one \"case\" differs", output);
        Assert.Contains("not run", output);
    }

    [Fact]
    public void Without_a_GPU_nothing_is_run_and_that_is_no_success()
    {
        using var folder = new TemporaryDirectory();
        var (code, output) = Run(folder, limit: 60, "case $1 in doctor) echo 'gpu            no GPU' ;; *) echo never; exit 7 ;; esac", "echo never");
        Assert.Equal(1, code);
        Assert.EndsWith("no GPU was seen", output.TrimEnd());
        Assert.Equal(["not run", "ok"], Parts(folder).Values.Distinct().Order(StringComparer.Ordinal));
        Assert.DoesNotContain("never", File.ReadAllText(Path.Combine(folder.Path, "out", "log.txt")));
    }

    [Fact]
    public void When_all_holds_the_exit_status_says_so()
    {
        using var folder = new TemporaryDirectory();
        var (code, output) = Run(folder, limit: 60, $"case $1 in doctor) {Doctor} ;; *) echo held ;; esac",
            "while [ $# -gt 0 ]; do case $1 in --json) echo '{}' >$2 ;; esac; shift; done; echo timed");
        Assert.True(code == 0, output);
        Assert.DoesNotContain(Parts(folder).Values, v => v is "failed" or "late");
        Assert.Single(Directory.GetFiles(Path.Combine(folder.Path, "out"), "cuda-*.json"));
    }

    [Theory]
    [InlineData("name a folder")]
    [InlineData("--seconds takes a number", "out", "--seconds", "soon")]
    [InlineData("there is no option --sceonds", "out", "--sceonds", "1")]
    [InlineData("plip and bench are not beside this script", "out")]
    public void Wrong_use_is_one_line(string says, params string[] arguments)
    {
        using var folder = new TemporaryDirectory();
        File.Copy(FaultyDriver.InRepository("tools/gpu-check/run"), folder / "run");
        using var process = Process.Start(new ProcessStartInfo("bash", [folder / "run", .. arguments]) { RedirectStandardError = true, WorkingDirectory = folder.Path })!;
        var error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.Equal(2, process.ExitCode);
        Assert.Contains(says, Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries)));
    }

    private static (int Code, string Out) Run(TemporaryDirectory folder, int limit, string plip, string bench)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a script for bash");
        foreach (var file in new[] { "run", "torch_twin.py" }) File.Copy(FaultyDriver.InRepository($"tools/gpu-check/{file}"), folder / file);
        foreach (var (name, text) in new[] { ("plip", plip), ("plip-avx2", plip), ("bench", bench) })
        {
            File.WriteAllText(folder / name, $"#!/bin/sh\n{text}\n");
            if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(folder / name, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
        using var process = Process.Start(new ProcessStartInfo("bash", [folder / "run", folder / "out", "--small", "--limit", limit.ToString(System.Globalization.CultureInfo.InvariantCulture)])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + error.Result);
    }

    private static Dictionary<string, string> Parts(TemporaryDirectory folder)
    {
        using var json = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder.Path, "out", "summary.json")));
        return json.RootElement.GetProperty("parts").EnumerateArray().ToDictionary(p => p.GetProperty("part").GetString()!, p => p.GetProperty("status").GetString()!);
    }
}
