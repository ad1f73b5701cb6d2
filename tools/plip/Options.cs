using System.CommandLine;
using System.Globalization;
using Plip.Configs;
using Plip.Engine;

namespace Plip.Tool;

/// <summary>Options that several commands share, so that they are spelled and explained once.</summary>
internal static class Options
{
    public static Option<string> Data() => new("--data") { Description = "A data set's folder: SYNTH-PEDES, CUHK-PEDES, ICFG-PEDES or RSTPReid layout, or tar shards (a folder of them, or one .tar).", Required = true };

    public static Option<string?> SplitFile() => new("--split-file") { Description = "External split: JSON {\"train\": [ids], \"val\": [ids], \"test\": [ids]}." };

    public static Option<string> Config() => new("--config") { Description = $"A configuration by name ({string.Join(", ", ConfigFile.BuiltIn)}) or a JSON file.", DefaultValueFactory = _ => "plip-tiny" };

    public static Option<int?> Batch() => new("--batch") { Description = "Pairs in the batch, in place of the configuration's; plip-rn50 on a CPU wants 8." };

    public static Option<Precision?> Precision() => new("--precision") { Description = "F32, or BF16 or F16 for activations and matrices, in place of the configuration's." };

    /// <summary>A configuration with what the command line says of its step.</summary>
    public static PlipConfig Load(string config, int? batch, Precision? precision)
    {
        var chosen = ConfigFile.Load(config);
        if (batch is { } pairs) chosen = chosen with { Training = chosen.Training with { BatchSize = Range(pairs, 2, 65536, "--batch") } };
        return precision is { } stored ? chosen with { Training = chosen.Training with { Precision = stored } } : chosen;
    }

    public static Option<int> Threads()
    {
        var option = new Option<int>("--threads") { Description = "Threads of the tensor engine on the CPU; 0 takes every core. Results do not depend on it.", DefaultValueFactory = _ => 0 };
        option.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && int.TryParse(token.Value, NumberStyles.Integer, CultureInfo.InvariantCulture, out var n) && n is < 0 or > 1024)
                result.AddError(FormattableString.Invariant($"--threads is {n}; expected 0 to 1024"));
        });
        return option;
    }

    public static Option<string> Device() => new("--device") { Description = $"Where to run: {Devices.Names}.", DefaultValueFactory = _ => "cpu" };

    /// <summary>The device of this name; on the CPU with so many threads, of which 0 takes PLIP_THREADS, and without it every core.</summary>
    /// <exception cref="UsageException">No device is named so, or PLIP_THREADS is not a number of threads.</exception>
    public static Device Open(string device, int threads = 0)
    {
        try
        {
            return Devices.Open(device, threads);
        }
        catch (ArgumentException e)
        {
            throw new UsageException(e.Message);
        }
    }

    /// <summary>Fails with exit code 2 unless the value lies in the range.</summary>
    public static int Range(int value, int low, int high, string option) =>
        value >= low && value <= high ? value : throw new UsageException(FormattableString.Invariant($"{option} is {value}; expected {low} to {high}"));
}
