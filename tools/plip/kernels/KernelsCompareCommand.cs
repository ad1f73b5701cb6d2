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
        var command = new Command("compare", "Run every kernel on a device and compare results and gradients with the CPU's.") { deviceName, word };
        command.SetAction(p =>
        {
            using var cpu = Options.Open("cpu");
            using var device = Options.Open(p.GetValue(deviceName)!);
            return Run(Console.Out, cpu, device, p.GetValue(word)!);
        });
        return command;
    }

    /// <summary>0 if all cases hold. A device that is lost ends it with its error.</summary>
    internal static int Run(TextWriter o, Device cpu, Device device, string word)
    {
        int held = 0, failed = 0;
        foreach (var c in KernelCases.All.Where(c => c.Name.Contains(word, StringComparison.Ordinal)))
            foreach (var type in c.Types)
            {
                var found = c.Compare(cpu, device, type);
                if (found.Holds) held++;
                else failed++;
                o.WriteLine(string.Create(
                    CultureInfo.InvariantCulture, $"{(found.Holds ? "ok    " : "FAILED")} {c.Name} {KernelCases.Name(type)}: {found.Error:0.0e+0} of {found.Tolerance:0.0e+0}{(found.Holds ? "" : $" in its {found.Output}")}"));
            }
        o.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{held} cases hold, {failed} failed"));
        return held > 0 && failed == 0 ? 0 : CommandLine.Failed;
    }
}
