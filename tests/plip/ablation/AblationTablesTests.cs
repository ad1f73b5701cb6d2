using Plip.Ablation;
using Plip.Configs;
using Plip.Encoders;
using Xunit;

namespace Plip.Tests.Ablation;

public sealed class AblationTablesTests
{
    public static TheoryData<string, string> Rows()
    {
        var rows = new TheoryData<string, string>();
        foreach (var table in AblationTables.All)
            foreach (var row in table.Rows) rows.Add(table.Key, row.Name);
        return rows;
    }

    private static AblationRow Row(string table, string row) => AblationTables.All.Single(t => t.Key == table).Rows.Single(r => r.Name == row);

    [Theory, MemberData(nameof(Rows))]
    public void Every_row_is_a_configuration_that_can_be_written_and_read(string table, string row)
    {
        foreach (var name in new[] { "plip-rn50", "plip-tiny" })
        {
            var changed = Row(table, row).Change(ConfigFile.Load(name));
            changed.Validate();
            Assert.Equal(ConfigFile.ToJson(changed), ConfigFile.ToJson(ConfigFile.Parse(ConfigFile.ToJson(changed), "again")));
        }
    }

    [Fact]
    public void Rows_of_a_table_differ_and_one_of_each_is_the_papers_model()
    {
        var paper = ConfigFile.Load("plip-rn50");
        var before = ConfigFile.ToJson(paper);
        foreach (var table in AblationTables.All)
        {
            var rows = table.Rows.Select(r => ConfigFile.ToJson(r.Change(paper))).ToList();
            Assert.Equal(rows.Count, rows.Distinct().Count());
            var full = Assert.Single(table.Rows, r => ConfigFile.ToJson(r.Change(paper)) == before);
            Assert.Equal(32.5, full.Paper.Cuhk!.Value.Value);
        }
        Assert.Equal(before, ConfigFile.ToJson(paper)); // no row changes the base in place
    }

    [Fact]
    public void A_row_changes_what_its_name_says()
    {
        var paper = ConfigFile.Load("plip-rn50");
        var without = Row("tasks", "TIC + IAP").Change(paper).Tasks;
        Assert.Equal((false, true, true), (without.Ivlc.Enabled, without.Tic.Enabled, without.Iap.Enabled));
        var sdm = Row("losses", "SDM + Manhattan").Change(paper).Tasks;
        Assert.Equal((IvlcLoss.Sdm, 50f, TicDistance.Manhattan), (sdm.Ivlc.Loss, sdm.Ivlc.Scale, sdm.Tic.Distance));
        Assert.Equal("constant(0.8)", Row("curriculum", "constant 0.8").Change(paper).Tasks.Iap.Curriculum);
        var pooled = Row("pooling", "attention + pooler").Change(paper);
        Assert.Equal((ResNetHead.AttentionPool, TextPooling.Pooler), (((ModifiedResNetConfig)pooled.Visual).Head, pooled.Text.Pooling));
        var weights = Row("lambda", "λ1 0.1, λ2 1").Change(paper).Tasks;
        Assert.Equal((0.1f, 1f), (weights.Tic.Weight, weights.Iap.Weight));
    }

    /// <summary>What is known of the paper, and nothing more: a figure that nobody has read must not appear.</summary>
    [Fact]
    public void The_papers_figures_are_those_that_are_known()
    {
        string Known(string table) => string.Join("; ", AblationTables.All.Single(t => t.Key == table).Rows.Select(r => $"{r.Paper.Cuhk}/{r.Paper.Market}"));
        Assert.Equal("30.2/62.3; 31.4/62.9; 30.5/62.7; /39.3; 32.5/63.1", Known("tasks"));
        Assert.Equal("32.5/; 30.0/; 31.8/; 17.6–19.1/; 17.6–19.1/; 17.6–19.1/", Known("losses"));
        Assert.Equal("32.1/; 30.9/; 31.6/; 32.3/; 32.5/; 31.7/", Known("curriculum"));
        Assert.Equal("32.5/; /; /; /; /; /", Known("pooling"));
        Assert.Equal("28.7/57.6; /; /; /; 32.5/63.1", Known("lambda"));
    }
}
