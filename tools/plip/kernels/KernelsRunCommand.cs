using System.CommandLine;
using System.Globalization;
using Plip.Engine;

namespace Plip.Tool;

/// <summary>
/// <c>plip kernels run</c>: what <c>check</c> and <c>mutate</c> start with the emulator's mode in its environment. Prints a line for each
/// case (<see cref="CaseRun"/>), so that a case that takes the process down is missed by whoever reads.
/// </summary>
internal static class KernelsRunCommand
{
    public static Command Create()
    {
        var cases = new Option<string[]>("--case") { Description = "A case and its type, \"softmax 7x53:BF16\"; all without it.", DefaultValueFactory = _ => [] };
        var part = new Option<int[]>("--part") { Description = "Which part of how many: every so manieth case.", Arity = new ArgumentArity(2, 2), AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [0, 1] };
        var stop = new Option<bool>("--stop") { Description = "Stop at the first that fails." };
        var command = new Command("run", "Run cases on the emulator and print what they launched.") { cases, part, stop };
        command.Hidden = true;
        command.SetAction(p =>
        {
            var wanted = p.GetValue(cases)!;
            var of = p.GetValue(part)!;
            var all = wanted.Length > 0 ? [.. wanted.Select(Find)] : All.Where((_, k) => k % of[1] == of[0]);
            return Run(Console.Out, all, p.GetValue(stop));
        });
        return command;
    }

    /// <summary>Every case in each of its types.</summary>
    internal static IEnumerable<(KernelCase Case, DType Type)> All => KernelCases.All.SelectMany(c => c.Types.Select(t => (c, t)));

    /// <summary>How <c>--case</c> names it.</summary>
    internal static string Name(string name, DType type) => $"{name}:{KernelCases.Name(type)}";

    private static (KernelCase, DType) Find(string name)
    {
        foreach (var (c, type) in All)
            if (Name(c.Name, type) == name) return (c, type);
        throw new UsageException($"there is no case \"{name}\"");
    }

    private static int Run(TextWriter o, IEnumerable<(KernelCase Case, DType Type)> cases, bool stop)
    {
        using var cpu = new CpuDevice(1);
        CudaDevice? device = null;
        var failed = 0;
        try
        {
            foreach (var (c, type) in cases)
            {
                device ??= new CudaDevice();
                var census = device.Census = new LaunchCensus();
                var problem = Problem(c, cpu, device, type);
                o.WriteLine(new CaseRun(c.Name, type, problem, [.. census.Launches.Select(l => new CaseLaunch(l.File, l.Kernel, l.Type, Describe(l.Shape), l.Count))]));
                o.Flush();
                if (problem.Length == 0) continue;
                failed++;
                if (stop) break;
                device.Dispose(); // what failed once fails at every call: the next case gets a context of its own
                device = null;
            }
        }
        finally
        {
            device?.Dispose();
        }
        return failed == 0 ? 0 : CommandLine.Failed;
    }

    private static string Problem(KernelCase c, Device cpu, Device device, DType type)
    {
        try
        {
            var found = c.Compare(cpu, device, type);
            return found.Holds ? "" : string.Create(CultureInfo.InvariantCulture, $"wrong: its {found.Output} differs from the CPU's by {found.Error:0.0e+0} of the largest element, and {found.Tolerance:0.0e+0} is allowed");
        }
        catch (Exception e) when (e is CudaException or InvalidOperationException or ArgumentException or NotSupportedException)
        {
            return e.Message;
        }
    }

    private static string Describe(in Launch l)
    {
        return string.Create(CultureInfo.InvariantCulture, $"{Index(l.GridX, l.GridY, l.GridZ)}×{Index(l.BlockX, l.BlockY, l.BlockZ)}");

        static string Index(int x, int y, int z) => z > 1 ? FormattableString.Invariant($"({x},{y},{z})") : y > 1 ? FormattableString.Invariant($"({x},{y})") : FormattableString.Invariant($"{x}");
    }
}
