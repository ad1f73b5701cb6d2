using System.CommandLine;
using System.Globalization;
using Plip.Engine;

namespace Plip.Tool;

/// <summary><c>plip kernels compare</c>: every case on a device and on the CPU, in each type. What device tests are where .NET is not.</summary>
internal static class KernelsCompareCommand
{
    public static Command Create()
    {
        var deviceName = new Option<string>("--device") { Description = $"The device to hold against the CPU: {Devices.Names}.", DefaultValueFactory = _ => "cuda" };
        var word = new Option<string>("--case") { Description = "Only cases with this word in their name.", DefaultValueFactory = _ => "" };
        var exact = new Option<bool>("--exact") { Description = "On a GPU, give each tensor memory of its own: compute-sanitizer then sees every access past its end." };
        var command = new Command("compare", "Run every kernel on a device and compare results and gradients with the CPU's.") { deviceName, word, exact };
        command.SetAction(p =>
        {
            using var cpu = Options.Open("cpu");
            if (p.GetValue(exact) && p.GetValue(deviceName) != "cuda") throw new UsageException("--exact is for --device cuda");
            return Run(Console.Out, cpu, () => p.GetValue(exact) ? new CudaDevice(pooled: false) : Options.Open(p.GetValue(deviceName)!), p.GetValue(word)!);
        });
        return command;
    }

    /// <summary>0 if all cases hold. After an error the device is opened anew, for the rest has yet to be seen; one that does not open ends it.</summary>
    internal static int Run(TextWriter o, Device cpu, Func<Device> open, string word)
    {
        int held = 0, failed = 0;
        var device = open();
        try
        {
            foreach (var c in KernelCases.All.Where(c => c.Name.Contains(word, StringComparison.Ordinal)))
                foreach (var type in c.Types)
                {
                    var (holds, says) = Compare(c, cpu, device, type);
                    if (holds == true) held++;
                    else failed++;
                    o.WriteLine($"{(holds == true ? "ok    " : "FAILED")} {c.Name} {KernelCases.Name(type)}: {says}");
                    if (holds != null) continue;
                    device.Dispose();
                    device = open();
                }
        }
        finally
        {
            device.Dispose();
        }
        o.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{held} cases hold, {failed} failed"));
        return held > 0 && failed == 0 ? 0 : CommandLine.Failed;
    }

    /// <summary>Whether it holds, null when it ended with an error, and what there is to say.</summary>
    private static (bool? Holds, string Says) Compare(KernelCase c, Device cpu, Device device, DType type)
    {
        try
        {
            var found = c.Compare(cpu, device, type);
            return (found.Holds, string.Create(CultureInfo.InvariantCulture, $"{found.Error:0.0e+0} of {found.Tolerance:0.0e+0}{(found.Holds ? "" : $" in its {found.Output}")}"));
        }
        catch (Exception e) when (e is CudaException or InvalidOperationException or ArgumentException or NotSupportedException)
        {
            return (null, e.Message);
        }
    }
}
