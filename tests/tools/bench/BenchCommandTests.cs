using Plip.Bench;
using Plip.Tests.Engine;
using Xunit;

namespace Plip.Tests.Tools.Bench;

[Collection("console")]
public class BenchCommandTests
{
    [Fact]
    public void List_shows_what_the_filter_takes()
    {
        var (code, output, error) = Run("cpu", "--list", "--filter", "layer_norm, step");
        Assert.Equal((0, ""), (code, error));
        Assert.Contains("layer_norm 2048x768 forward", output);
        Assert.Contains("step plip-rn50 batch 8", output);
        Assert.DoesNotContain("gemm", output);
    }

    [Fact]
    public void Table_is_printed_or_written_into_a_readme()
    {
        using var folder = new TemporaryDirectory();
        string result = Path.Combine(folder.Path, "r.json"), readme = Path.Combine(folder.Path, "README.md");
        Results.Some.Save(result);
        Assert.Equal((0, MarkdownTable.Of(Results.Some), ""), Run("table", result));
        File.WriteAllText(readme, $"# a\n{MarkdownTable.Begin}\n{MarkdownTable.End}\n");
        Assert.Equal((0, "", ""), Run("table", result, "--write", readme));
        Assert.Contains("| adan 16 |", File.ReadAllText(readme));
    }

    [Theory]
    [InlineData(1, "cpu --filter nosuchcase", "nosuchcase")]
    [InlineData(1, "cpu --threads -1 --filter step", "--threads is -1")]
    [InlineData(1, "table nosuchfile.json", "nosuchfile.json")]
    [InlineData(2, "cpu --reapeats 3", "--reapeats")]
    [InlineData(2, "table", "result")]
    public void Wrong_use_is_one_line(int code, string line, string mentions)
    {
        var run = Run(line.Split(' '));
        Assert.Equal(code, run.Code);
        Assert.Contains(mentions, Assert.Single(run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries)));
    }

    internal static (int Code, string Out, string Error) Run(params string[] args)
    {
        var (keepOut, keepError) = (Console.Out, Console.Error);
        using var o = new StringWriter();
        using var e = new StringWriter();
        Console.SetOut(o);
        Console.SetError(e);
        try
        {
            return (BenchCommand.Run(args, new PeerRegistry()), o.ToString(), e.ToString());
        }
        finally
        {
            Console.SetOut(keepOut);
            Console.SetError(keepError);
        }
    }
}
