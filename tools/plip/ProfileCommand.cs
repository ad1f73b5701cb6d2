using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Plip.Configs;
using Plip.Engine;
using Plip.Training;

namespace Plip.Tool;

/// <summary><c>plip profile</c>: where the time of one training step goes, against what the machine can do.</summary>
internal static class ProfileCommand
{
    public static Command Create()
    {
        var (config, batch, precision) = (Options.Config(), Options.Batch(), Options.Precision());
        var steps = new Option<int>("--steps") { Description = "Steps to measure; the one whose time is the median is shown.", DefaultValueFactory = _ => 5 };
        var trace = new Option<string?>("--trace") { Description = "Write the step as a Chrome trace, for ui.perfetto.dev or chrome://tracing." };
        var json = new Option<string?>("--json") { Description = "Write the figures to this file." };
        var (deviceName, threads) = (Options.Device(), Options.Threads());
        var command = new Command("profile", "Time every kernel of a training step on noise: GFLOP/s, GB/s and the share of this machine's floor.") { config, batch, steps, precision, trace, json, threads, deviceName };
        command.SetAction(p =>
        {
            var count = Options.Range(p.GetValue(steps), 1, 1000, "--steps");
            var chosen = Options.Load(p.GetValue(config)!, p.GetValue(batch), p.GetValue(precision));
            // Opened first: a folder that is not there is said before the minutes are spent.
            using var traceFile = Create(p.GetValue(trace));
            using var jsonFile = Create(p.GetValue(json));
            using var device = Options.Open(p.GetValue(deviceName)!, p.GetValue(threads));
            using var profiler = new StepProfiler(device, chosen);
            Console.Out.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{chosen.Name}, batch {profiler.Pairs}, {profiler.Tokens} tokens, {profiler.Parameters / 1e6:0.00} M trained parameters; {Describe(device)}"));
            var machine = MachinePeak.Measure(device);
            var profile = profiler.Run(count);
            var report = ProfileReport.Of(profile, machine);
            Print(report, profiler);
            if (jsonFile != null) Write(jsonFile, report, profiler, chosen.Name, device);
            if (traceFile != null) ChromeTrace.Write(traceFile, profile);
            return 0;
        });
        return command;
    }

    private static string Describe(Device device) => device is CpuDevice cpu
        ? string.Create(CultureInfo.InvariantCulture, $"{cpu.Threads} threads, {cpu.VectorBits}-bit vectors")
        : ((CudaDevice)device).Description.Name;

    private static FileStream? Create(string? path) => path == null ? null : File.Create(path);

    private static void Print(ProfileReport r, StepProfiler step)
    {
        var o = Console.Out;
        o.WriteLine($"{"kernel",-34} {"calls",6} {"ms",9} {"step",6} {"GFLOP/s",8} {"GB/s",7} {"floor",6}");
        foreach (var k in r.Kernels)
            Line($"{k.Name,-34} {k.Calls,6} {k.Milliseconds,9:0.000} {100 * k.Share,5:0.0}% {Rate(k.GFlops),8} {Rate(k.GBytes),7} {(k.ShareOfFloor is { } f ? string.Create(CultureInfo.InvariantCulture, $"{100 * f:0}%") : ""),6}");
        Line($"{"outside kernels",-34} {"",6} {r.Outside,9:0.000} {100 * r.Outside / r.Milliseconds,5:0.0}%");
        Line($"{"step",-34} {r.Kernels.Sum(k => k.Calls),6} {r.Milliseconds,9:0.000} {100,5:0.0}% {Rate(r.Kernels.Sum(k => k.Flops) / r.Milliseconds / 1e6),8} {Rate(r.Kernels.Sum(k => k.Bytes) / r.Milliseconds / 1e6),7} {string.Create(CultureInfo.InvariantCulture, $"{100 * r.ShareOfFloor:0}%"),6}");
        o.WriteLine(string.Join(", ", r.Phases.Select(p => string.Create(CultureInfo.InvariantCulture, $"{p.Name} {p.Milliseconds:0.0} ms"))));
        Line($"{1000 * step.Pairs / r.Milliseconds:0} pairs/s; peak memory {r.PeakBytes / 1e6:0} MB; this machine: {r.Machine.FlopsPerSecond / 1e9:0} GFLOP/s, {r.Machine.BytesPerSecond / 1e9:0.0} GB/s");
        o.WriteLine("floor: the share of the time that max(flops/peak, bytes/bandwidth) would take; over 100 %: from a cache; blank: states no work yet");

        void Line(FormattableString s) => o.WriteLine(s.ToString(CultureInfo.InvariantCulture).TrimEnd());
        static string Rate(double value) => value > 0 ? value.ToString(value < 10 ? "0.0" : "0", CultureInfo.InvariantCulture) : "";
    }

    private static void Write(Stream stream, ProfileReport r, StepProfiler step, string config, Device device)
    {
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteString("config", config);
        json.WriteNumber("batch", step.Pairs);
        json.WriteNumber("tokens", step.Tokens);
        json.WriteString("device", device.Name);
        if (device is CpuDevice cpu)
        {
            json.WriteNumber("threads", cpu.Threads);
            json.WriteNumber("vector_bits", cpu.VectorBits);
        }
        else json.WriteString("gpu", ((CudaDevice)device).Description.Name);
        json.WriteNumber("peak_gflops", r.Machine.FlopsPerSecond / 1e9);
        json.WriteNumber("peak_gbytes", r.Machine.BytesPerSecond / 1e9);
        json.WriteNumber("step_ms", r.Milliseconds);
        json.WriteNumber("outside_ms", r.Outside);
        json.WriteNumber("pairs_per_second", 1000 * step.Pairs / r.Milliseconds);
        json.WriteNumber("share_of_floor", r.ShareOfFloor);
        json.WriteNumber("peak_memory_bytes", r.PeakBytes);
        json.WriteStartArray("phases");
        foreach (var p in r.Phases)
        {
            json.WriteStartObject();
            json.WriteString("name", p.Name);
            json.WriteNumber("ms", p.Milliseconds);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteStartArray("kernels");
        foreach (var k in r.Kernels)
        {
            json.WriteStartObject();
            json.WriteString("name", k.Name);
            json.WriteNumber("calls", k.Calls);
            json.WriteNumber("ms", k.Milliseconds);
            json.WriteNumber("share", k.Share);
            json.WriteNumber("bytes", k.Bytes);
            json.WriteNumber("flops", k.Flops);
            json.WriteNumber("gflops", k.GFlops);
            json.WriteNumber("gbytes", k.GBytes);
            if (k.ShareOfFloor is { } share) json.WriteNumber("share_of_floor", share);
            else json.WriteNull("share_of_floor");
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
