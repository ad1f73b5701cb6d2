using System.Text.Json;
using Plip.Ablation;
using Plip.Configs;
using Plip.Engine;
using Plip.Tests.Model;
using Xunit;

namespace Plip.Tests.Ablation;

public sealed class AblationRunnerTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    private static readonly AblationTable Table = new("some", "of everything",
    [
        new("base", c => c, new(new(32.5), new(63.1))),
        new("base again", c => c with { Name = "another name" }, new()),
        new("no contrast", c => c with { Tasks = AblationTables.Tasks.Rows[3].Change(c).Tasks }, new(null, new(39.3))),
        new("wild", c => c with { Training = c.Training with { LearningRate = 1e30f, Warmup = 0 } }, new()),
        new("impossible", _ => throw new ConfigException("this encoder has no such head"), new()),
        new("out of range", c => c with { Training = c.Training with { BatchSize = 1 } }, new()),
    ]);

    private AblationOptions Options(string folder, List<AblationProgress> seen, int seeds = 1) => new()
    {
        Tables = [Table],
        Config = TinyPlip.Config(),
        Seeds = seeds,
        Train = plip.Train,
        Test = plip.Test,
        Vocabulary = plip.Words,
        Folder = folder,
        Progress = seen.Add,
    };

    private static AblationResults Run(AblationOptions options, CancellationToken cancellation = default)
    {
        using var device = new CpuDevice(1);
        return AblationRunner.Run(device, options, cancellation);
    }

    /// <summary>All that must repeat: figures, losses, outcomes; not seconds.</summary>
    private static string Figures(AblationResults r) => string.Join('\n', r.Tables.SelectMany(t => t.Rows).SelectMany(row => row.Runs.Select(
        run => $"{row.Name} {run.Digest} {run.Outcome} {run.Reason} {run.Steps} {run.TextToImage} {run.ImageToImage} {string.Join(' ', run.Losses)}")));

    [Fact]
    public void Rows_are_run_once_and_failures_end_nothing()
    {
        var (folder, seen) = (plip.NewFolder(), new List<AblationProgress>());
        var results = Run(Options(folder, seen, seeds: 2));
        var rows = results.Tables[0].Rows;
        Assert.All(rows, r => Assert.Equal(2, r.Runs.Count));
        Assert.Equal([1UL, 2], rows[0].Runs.Select(r => r.Seed));
        Assert.Equal(rows[0].Runs, rows[1].Runs); // the same run, though another name
        Assert.Equal(10, seen[0].Runs); // five different rows × two seeds
        Assert.Equal(6, seen.Count(p => p.Run == null)); // three that train × two seeds

        Assert.All(rows[0].Runs, r => Assert.Equal((AblationOutcome.Finished, "", 4), (r.Outcome, r.Reason, r.Steps)));
        Assert.NotEqual(rows[0].Runs[0].TextToImage, rows[0].Runs[1].TextToImage);
        Assert.Equal(["iap", "ivlc", "tic"], rows[0].Runs[0].Losses.Keys.Order(StringComparer.Ordinal));
        Assert.Equal((12, 6), (rows[0].Runs[0].TextToImage!.Queries, rows[0].Runs[0].TextToImage!.Gallery));
        Assert.Contains("its own camera removed", rows[0].Runs[0].ImageToImage!.Protocol);

        Assert.All(rows[2].Runs, r => Assert.Null(r.TextToImage));
        Assert.All(rows[2].Runs, r => Assert.NotNull(r.ImageToImage));
        Assert.All(rows[3].Runs, r => Assert.Equal(AblationOutcome.Diverged, r.Outcome));
        Assert.Contains("not finite", rows[3].Runs[0].Reason);
        Assert.All(rows[4].Runs, r => Assert.Equal((AblationOutcome.Impossible, "this encoder has no such head"), (r.Outcome, r.Reason)));
        Assert.Contains("batchSize is 1", rows[5].Runs[0].Reason);

        var spread = rows[0].TextMap!;
        var (a, b) = (rows[0].Runs[0].TextToImage!.Map, rows[0].Runs[1].TextToImage!.Map);
        Assert.Equal((a + b) / 2, spread.Mean, 1e-12);
        Assert.Equal(Math.Abs(a - b) / Math.Sqrt(2), spread.Deviation!.Value, 1e-12);

        // A second call runs nothing and gives the same.
        seen.Clear();
        var again = Run(Options(folder, seen, seeds: 2));
        Assert.DoesNotContain(seen, p => p.Run == null);
        Assert.Equal(Figures(results), Figures(again));
        Assert.False(Directory.Exists(Path.Combine(seen[0].Folder, "checkpoints", "last")));
        Assert.Equal(ConfigFile.ToJson(TinyPlip.Config() with { Text = TinyPlip.Config().Text with { VocabularySize = plip.Words.Size } }), File.ReadAllText(Path.Combine(seen[0].Folder, "config.json")).TrimEnd('\n'));
    }

    [Fact]
    public void What_was_stopped_goes_on_to_the_same_figures()
    {
        var seen = new List<AblationProgress>();
        var whole = Figures(Run(Options(plip.NewFolder(), seen)));

        var folder = plip.NewFolder();
        using var stop = new CancellationTokenSource();
        seen.Clear();
        Assert.ThrowsAny<OperationCanceledException>(() => Run(Options(folder, seen) with
        {
            Training = p => { if (seen.Count(s => s.Run == null) == 2 && p.Step == 1) stop.Cancel(); },
        }, stop.Token));
        Assert.Single(seen, p => p.Run != null);
        using (var partial = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "results.json"))))
        {
            var rows = partial.RootElement.GetProperty("tables")[0].GetProperty("rows");
            Assert.Equal((1, 1, 0), (rows[0].GetProperty("runs").GetArrayLength(), rows[1].GetProperty("runs").GetArrayLength(), rows[2].GetProperty("runs").GetArrayLength()));
        }
        Assert.Contains("Unfinished: 2 of 6", File.ReadAllText(Path.Combine(folder, "results.md")));

        seen.Clear();
        var resumed = new List<long>();
        var results = Run(Options(folder, seen) with { Training = p => resumed.Add(p.Step) });
        Assert.Equal(2, resumed[0]); // not from the first step
        Assert.True(seen[0].FromBefore);
        Assert.Equal(whole, Figures(results));
        Assert.Null(results.Tables[0].Rows[2].Runs[0].Seconds);
    }

    [Fact]
    public void A_run_of_other_settings_or_data_or_a_damaged_one_is_not_taken_for_this()
    {
        var (folder, seen) = (plip.NewFolder(), new List<AblationProgress>());
        var one = new AblationTable("one", "row", [Table.Rows[0]]);
        var options = Options(folder, seen) with { Tables = [one] };
        var run = Run(options).Tables[0].Rows[0].Runs[0];
        int Trained(AblationOptions o)
        {
            seen.Clear();
            Run(o);
            return seen.Count(p => p.Run == null);
        }
        Assert.Equal(0, Trained(options));
        Assert.Equal(0, Trained(options with { Config = options.Config with { Training = options.Config.Training with { Workers = 1 } } })); // changes no bit
        Assert.Equal(1, Trained(options with { Config = options.Config with { Training = options.Config.Training with { Steps = 3 } } }));
        Assert.Equal(1, Trained(options with { Test = plip.Validation }));
        Assert.Equal(0, Trained(options));

        var record = Path.Combine(seen[0].Folder, "run.json");
        foreach (var damaged in new[] { "", "{", File.ReadAllText(record).Replace(run.Digest, new string('0', 64)) })
        {
            File.WriteAllText(record, damaged);
            Assert.Equal(1, Trained(options));
            Assert.Equal(run with { Seconds = 0, Losses = run.Losses }, AblationRun.Read(seen[0].Folder, run.Digest)! with { Seconds = 0, Losses = run.Losses });
        }
    }

    [Fact]
    public void A_report_shows_what_was_measured_what_failed_and_what_nobody_knows()
    {
        var results = Run(Options(plip.NewFolder(), []));
        var text = AblationReport.Text(results);
        var lines = text.Split('\n');
        string Line(string start) => lines.First(l => l.StartsWith(start + "  ", StringComparison.Ordinal));
        Assert.EndsWith("32.5           63.1", Line("base"));
        Assert.Matches(@"^no contrast +– +– +\d+\.\d +\d+\.\d +39\.3$", Line("no contrast"));
        Assert.Matches(@"^wild +diverged +diverged +diverged +diverged$", Line("wild"));
        Assert.Contains("not possible", Line("impossible"));
        Assert.Contains("impossible, seed 1: not possible: this encoder has no such head", text);
        Assert.Matches(@"wild, seed 1: diverged: .* is not finite", text);
        Assert.Contains("4 steps of 6 pairs on world/train (18 pictures of 9 people), last weights tested on world/test (6 pictures of 3 other people)", text);
        Assert.DoesNotContain(lines, l => l.EndsWith(' '));

        var markdown = AblationReport.Markdown(results);
        var cells = markdown.Split('\n').Where(l => l.StartsWith('|')).Select(l => l.Count(c => c == '|')).Distinct();
        Assert.Equal([8], cells); // seven columns in every line
        Assert.Contains("| no contrast | – | – |", markdown);
        Assert.Contains("not in their values", markdown);
        Assert.Contains("nothing removed", markdown);
    }

    [Fact]
    public void A_spread_is_of_what_there_is()
    {
        Assert.Null(Spread.Of([]));
        Assert.Equal(new Spread(0.5, null, 1), Spread.Of([0.5]));
        Assert.Equal(new Spread(2, 1, 3), Spread.Of([1, 2, 3]));
    }
}
