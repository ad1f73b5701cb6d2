using Plip.Tool;
using Xunit;

namespace Plip.Tests.Tools;

/// <summary>Tests that take the console run alone: it belongs to the process.</summary>
[CollectionDefinition("console", DisableParallelization = true)]
public sealed class ConsoleCollection;

/// <summary>What a command printed and returned, run in this process.</summary>
internal sealed record Captured(int Code, string Out, string Error)
{
    public static Captured Run(params string[] args)
    {
        var (keepOut, keepError) = (Console.Out, Console.Error);
        using var o = new StringWriter();
        using var e = new StringWriter();
        Console.SetOut(o);
        Console.SetError(e);
        try
        {
            return new Captured(CommandLine.Run(args), o.ToString(), e.ToString());
        }
        finally
        {
            Console.SetOut(keepOut);
            Console.SetError(keepError);
        }
    }

    /// <summary>Asserts the exit code and that standard error holds one line, without a stack trace.</summary>
    public string Fails(int code)
    {
        var lines = Error.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.True(lines.Length == 1, $"expected one line of error, got: {Error}");
        Assert.StartsWith("plip: ", lines[0]);
        Assert.DoesNotContain("   at ", lines[0]);
        Assert.True(Code == code, $"exit {Code}, expected {code}: {Error}");
        return lines[0];
    }
}
