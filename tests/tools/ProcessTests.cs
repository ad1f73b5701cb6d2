using System.Diagnostics;
using System.Globalization;
using Plip.Configs;
using Plip.Engine;
using Plip.Tests.Model;
using Xunit;

namespace Plip.Tests.Tools;

/// <summary>The program as a process of its own, killed, stopped and starved. Linux and macOS only: they need signals and limits.</summary>
public sealed class ProcessTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    private static readonly string Program = Path.Combine(AppContext.BaseDirectory, "plip.dll");

    /// <summary>Many small steps with a checkpoint after each, so that a kill often meets the writer.</summary>
    private string Config(long steps)
    {
        var config = TinyPlip.Config();
        var path = Path.Combine(plip.Root, string.Create(CultureInfo.InvariantCulture, $"config-{steps}.json"));
        File.WriteAllText(path, ConfigFile.ToJson(config with { Training = config.Training with { Steps = steps, BatchSize = 4, ValidateEvery = 1 } }));
        return path;
    }

    private string[] Pretrain(string config, string folder, bool resume) =>
        ["pretrain", "--config", config, "--data", plip.World, "--out", folder, "--threads", "1", .. resume ? ["--resume"] : Array.Empty<string>()];

    private static Process Start(string? before, params string[] args)
    {
        var start = new ProcessStartInfo("bash") { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add($"{before} exec \"$0\" \"$@\"");
        start.ArgumentList.Add(Environment.ProcessPath is { } host && Path.GetFileNameWithoutExtension(host) == "dotnet" ? host : "dotnet");
        start.ArgumentList.Add(Program);
        foreach (var a in args) start.ArgumentList.Add(a);
        return Process.Start(start)!;
    }

    private static (int Code, string Out, string Error) End(Process process)
    {
        using (process)
        {
            var error = process.StandardError.ReadToEndAsync();
            var output = process.StandardOutput.ReadToEnd();
            Assert.True(process.WaitForExit(60_000), "the program did not end");
            return (process.ExitCode, output, error.Result);
        }
    }

    private static void WaitForCheckpoints(Process process, string folder, int more)
    {
        var last = Path.Combine(folder, "checkpoints", "last");
        var before = Newest(last);
        var watch = Stopwatch.StartNew();
        while (Newest(last) < before + more && !process.HasExited && watch.Elapsed.TotalSeconds < 60) Thread.Sleep(1);
        Assert.False(process.HasExited, "the program ended too soon");
    }

    private static long Newest(string last) => !Directory.Exists(last) ? 0
        : Directory.GetFiles(last, "step-*.safetensors").Select(f => long.Parse(Path.GetFileNameWithoutExtension(f)[5..], CultureInfo.InvariantCulture)).DefaultIfEmpty(0).Max();

    private string Uninterrupted(string config, long steps)
    {
        var folder = plip.NewFolder();
        using var device = new CpuDevice(1);
        var loaded = ConfigFile.Load(config);
        using var trainer = plip.Trainer(device, loaded, folder);
        trainer.Run(steps);
        return folder;
    }

    [Fact]
    public void A_run_that_is_killed_again_and_again_ends_with_the_bits_of_one_that_never_was()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs SIGKILL");
        var config = Config(400);
        var folder = plip.NewFolder();
        for (var round = 0; round < 4; round++)
        {
            var process = Start(null, Pretrain(config, folder, resume: round > 0));
            WaitForCheckpoints(process, folder, 2 + round);
            Thread.Sleep(3 * round); // another moment of the step each time
            process.Kill();
            End(process);
            // At any moment there is a whole checkpoint, and the one being written is not mistaken for one.
            foreach (var kind in new[] { "last", "best" })
                using (var file = Checkpoint.Open(Path.Combine(folder, "checkpoints", kind), w => Assert.Fail(w))) Assert.True(file.Step > 0);
        }
        var reached = Newest(Path.Combine(folder, "checkpoints", "last"));
        Assert.InRange(reached, 14, 399);
        using (var device = new CpuDevice(1))
        using (var trainer = plip.Trainer(device, ConfigFile.Load(config), folder, resume: true))
            trainer.Run(reached + 1);
        Assert.Equal(TinyPlip.Fingerprint(Uninterrupted(config, reached + 1)), TinyPlip.Fingerprint(folder));
    }

    [Fact]
    public void An_interrupted_run_saves_says_how_to_go_on_and_ends_with_the_same_bits()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs SIGINT");
        var config = Config(401);
        var folder = plip.NewFolder();
        var process = Start(null, Pretrain(config, folder, resume: false));
        WaitForCheckpoints(process, folder, 2);
        // A shell that starts jobs in the background makes them deaf to SIGINT; SIGTERM takes the same way through the program.
        var deaf = (Convert.ToUInt64(File.ReadLines($"/proc/{process.Id}/status").First(l => l.StartsWith("SigIgn", StringComparison.Ordinal))[7..].Trim(), 16) & 2) != 0;
        using (var kill = Process.Start("kill", [deaf ? "-TERM" : "-INT", process.Id.ToString(CultureInfo.InvariantCulture)])) kill.WaitForExit();
        var (code, output, error) = End(process);
        Assert.Equal(130, code);
        Assert.Contains("--resume", output);
        Assert.Contains("finishing this step and saving", error);
        var reached = Newest(Path.Combine(folder, "checkpoints", "last"));
        Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"saved at step {reached}"), output);
        using (var device = new CpuDevice(1))
        using (var trainer = plip.Trainer(device, ConfigFile.Load(config), folder, resume: true))
            trainer.Run(reached + 2);
        Assert.Equal(TinyPlip.Fingerprint(Uninterrupted(config, reached + 2)), TinyPlip.Fingerprint(folder));
    }

    [Fact]
    public void A_full_disk_is_one_clear_error_and_the_earlier_checkpoint_stays()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs a limit on file sizes");
        var config = Config(402);
        var folder = Uninterrupted(config, 2);
        var before = TinyPlip.Fingerprint(folder);
        var size = new FileInfo(Directory.GetFiles(Path.Combine(folder, "checkpoints", "last"))[0]).Length;
        // Half a checkpoint's size, in KiB. The runtime's own doubly mapped code file would not fit either.
        var limit = string.Create(CultureInfo.InvariantCulture, $"trap '' XFSZ; ulimit -f {size / 2048}; export DOTNET_EnableWriteXorExecute=0;");
        var (code, _, error) = End(Start(limit, Pretrain(config, folder, resume: true)));
        Assert.Equal(1, code);
        var line = Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Contains("could not be written", line);
        Assert.Contains("step-00000003", line);
        Assert.Equal(before[..4], TinyPlip.Fingerprint(folder)[..4]);
        Assert.Empty(Directory.GetFiles(Path.Combine(folder, "checkpoints", "last"), "*.tmp"));
    }
}
