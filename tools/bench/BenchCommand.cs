using System.CommandLine;
using Plip.Engine;

namespace Plip.Bench;

/// <summary>The program: <c>bench cpu</c> and <c>bench cuda</c> measure, <c>bench table</c> prints what was measured. Wrong use exits 2, a failure 1.</summary>
internal static class BenchCommand
{
    public const int Failed = 1, WrongUse = 2;

    public static int Run(string[] args, PeerRegistry peers)
    {
        var root = new RootCommand("Times PLIP's ops and whole training steps beside the machine's own limits, and beside peers where there are any.")
        {
            CpuCommand.Create(peers),
            CudaCommand.Create(),
            JoinCommand.Create(),
            TableCommand.Create(),
        };
        var parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
        {
            Console.Error.WriteLine($"bench: {parsed.Errors[0].Message.ReplaceLineEndings(" ")} (bench --help shows what it takes)");
            return WrongUse;
        }
        try
        {
            return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
        }
        catch (Exception e) when (e is BenchException or IOException or UnauthorizedAccessException or CudaException)
        {
            Console.Error.WriteLine($"bench: {e.Message}");
            return Failed;
        }
    }
}

/// <summary>What the user can mend: a file that is no result, a filter that matches nothing, a peer that computes something else.</summary>
internal sealed class BenchException(string message, Exception? inner = null) : Exception(message, inner);
