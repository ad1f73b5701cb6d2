using System.Text.Json;
using Plip.Configs;
using Plip.Tests.Model;
using Xunit;

namespace Plip.Tests.Tools;

[Collection("console")]
public sealed class AblateCommandTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    private string Config()
    {
        var path = Path.Combine(plip.Root, "ablate.json");
        File.WriteAllText(path, ConfigFile.ToJson(TinyPlip.Config()));
        return path;
    }

    [Fact]
    public void It_lists_the_tables_without_running_anything()
    {
        var run = Captured.Run("ablate", "--list", "--tables", "lambda, tasks");
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.Contains("λ1 1, λ2 1", run.Out);
        Assert.Matches(@"TIC \+ IAP +39\.3", run.Out);
        Assert.DoesNotContain("curriculum", run.Out);
        Assert.Equal(0, Captured.Run("ablate", "--help").Code);
    }

    [Theory]
    [InlineData("--tables taks", "taks")]
    [InlineData("--tables ,", "--tables")]
    [InlineData("--seeds 0", "--seeds is 0")]
    [InlineData("--steps 0", "--steps is 0")]
    [InlineData("--identities 210", "--identities is 210")]
    [InlineData("--data x --split train", "other people")]
    [InlineData("--batch 1", "--batch is 1")]
    public void Wrong_use_exits_2(string line, string mentions) =>
        Assert.Contains(mentions, Captured.Run(["ablate", "--out", Path.Combine(plip.Root, "wrong"), .. line.Split(' ')]).Fails(2));

    [Fact]
    public void It_runs_a_table_and_goes_on_where_it_was()
    {
        var folder = plip.NewFolder();
        string[] args = ["ablate", "--data", plip.World, "--config", Config(), "--steps", "2", "--tables", "tasks", "--vocabulary-size", "300", "--out", folder, "--threads", "1"];
        var run = Captured.Run(args);
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.Contains("[5/5] tasks: IVLC + TIC + IAP, seed 1", run.Out);
        Assert.Matches(@"TIC \+ IAP +– +– ", run.Out);
        Assert.Contains("2 steps of 6 pairs", run.Out);
        using var json = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "results.json")));
        var row = json.RootElement.GetProperty("tables")[0].GetProperty("rows")[4];
        Assert.Equal(32.5, row.GetProperty("paper").GetProperty("cuhk").GetProperty("value").GetDouble());
        Assert.InRange(row.GetProperty("text_r1").GetProperty("mean").GetDouble(), 0, 1);
        Assert.Equal("finished", row.GetProperty("runs")[0].GetProperty("outcome").GetString(), ignoreCase: true);
        Assert.Contains("| IVLC + TIC + IAP |", File.ReadAllText(Path.Combine(folder, "results.md")));

        var again = Captured.Run(args);
        Assert.Equal(5, again.Out.Split("finished before").Length - 1);
        Assert.Equal(run.Out[run.Out.IndexOf("pretext tasks", StringComparison.Ordinal)..], again.Out[again.Out.IndexOf("pretext tasks", StringComparison.Ordinal)..]);

        // Tested elsewhere: other runs.
        var elsewhere = Captured.Run([.. args, "--test-data", plip.World, "--split", "val"]);
        Assert.Equal(0, elsewhere.Code);
        Assert.DoesNotContain("finished before", elsewhere.Out);
    }

    [Fact]
    public void What_the_files_make_impossible_exits_1()
    {
        var nothing = Path.Combine(plip.Root, "nothing");
        Assert.Contains(nothing, Captured.Run("ablate", "--data", nothing, "--out", plip.NewFolder()).Fails(1));
        Assert.Contains("tset", Captured.Run("ablate", "--data", plip.World, "--split", "tset", "--out", plip.NewFolder()).Fails(1));
        Assert.Contains("plip-tiny", Captured.Run("ablate", "--data", plip.World, "--config", nothing, "--out", plip.NewFolder()).Fails(1));
        Assert.Contains(nothing, Captured.Run("ablate", "--data", plip.World, "--test-data", nothing, "--out", plip.NewFolder()).Fails(1));
    }
}
