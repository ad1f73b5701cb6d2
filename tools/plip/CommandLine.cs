using System.CommandLine;
using System.CommandLine.Parsing;
using Plip.Configs;
using Plip.Data;
using Plip.Engine;

namespace Plip.Tool;

/// <summary>
/// The program: thin commands over the library. Wrong use exits 2 with one line; what the user's files or machine make
/// impossible exits 1 with one line; a bug shows its trace.
/// </summary>
internal static class CommandLine
{
    public const int Failed = 1, WrongUse = 2;

    public static RootCommand Root() => new("PLIP: language-image pre-training for person representation learning (NeurIPS 2024), from scratch in C#.")
    {
        QuickstartCommand.Create(),
        PretrainCommand.Create(),
        new Command("eval", "Evaluate a checkpoint.") { EvalRetrievalCommand.Create() },
        AblateCommand.Create(),
        EmbedCommand.Create(),
        ColorizeCommand.Create(),
        new Command("data", "Make, check, pack and time data.") { DataMakeCommand.Create(), DataCheckCommand.Create(), DataPackCommand.Create(), DataRateCommand.Create() },
        WeightsCommand.Create(),
        ConfigCommand.Create(),
        ProfileCommand.Create(),
        MemoryCommand.Create(),
        KernelsCommand.Create(),
        DoctorCommand.Create(),
    };

    public static int Run(string[] args)
    {
        var parsed = Root().Parse(args);
        if (parsed.Errors.Count > 0)
        {
            // What was not understood says more than what is missing because of it.
            var wrong = parsed.UnmatchedTokens.Count > 0 ? $"there is no \"{parsed.UnmatchedTokens[0]}\" here" : parsed.Errors[0].Message.ReplaceLineEndings(" ");
            Console.Error.WriteLine($"plip: {wrong} ({string.Join(' ', Path(parsed).Prepend("plip"))} --help shows what it takes)");
            return WrongUse;
        }
        try
        {
            return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
        }
        catch (OperationCanceledException)
        {
            Console.Error.WriteLine("plip: stopped");
            return 130;
        }
        catch (UsageException e)
        {
            Console.Error.WriteLine($"plip: {e.Message}");
            return WrongUse;
        }
        catch (Exception e) when (e is DataException or ConfigException or FormatException or IOException or UnauthorizedAccessException or NotFiniteNumberException or CudaException)
        {
            Console.Error.WriteLine($"plip: {e.Message.ReplaceLineEndings(Environment.NewLine + "  ")}");
            return Failed;
        }
    }

    private static IEnumerable<string> Path(ParseResult parsed)
    {
        var names = new List<string>();
        for (SymbolResult? r = parsed.CommandResult; r is CommandResult c && r.Parent != null; r = r.Parent) names.Insert(0, c.Command.Name);
        return names;
    }
}

/// <summary>Options that parse but cannot be meant; the message says which and what would do.</summary>
internal sealed class UsageException(string message) : Exception(message);
