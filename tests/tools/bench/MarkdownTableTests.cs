using Plip.Bench;
using Xunit;

namespace Plip.Tests.Tools.Bench;

public class MarkdownTableTests
{
    [Fact]
    public void The_table_has_the_machine_and_a_row_for_each_case()
    {
        var lines = MarkdownTable.Of(Results.Some).Split('\n');
        Assert.Equal("2026-01-31: A processor, 2 threads of 4 logical cores, 512-bit vectors, .NET 10.0.1, LibTorch 2.10.0.", lines[0]);
        Assert.Contains("| gemm_nn 2x3x4 | 1.25 | 2.50 | 2.00 | 82 % | 412 | libtorch |", lines);
        Assert.Contains("| adan 16 | 123 |  |  | 150 % |  |  |", lines);
        Assert.Contains("| step x batch 8 | 12.3 | 0.500 | 0.04 | 50 % | 10 | 648.3 / 16000.0 pairs | libtorch nchw |", lines);
        Assert.DoesNotContain("**Convolution**", lines);
        // Markdown draws no table whose rows differ in their columns.
        foreach (var table in string.Join('\n', lines).Split("\n\n").Where(t => t.StartsWith("| ", StringComparison.Ordinal)))
            Assert.Single(table.Trim().Split('\n').Select(l => l.Count(c => c == '|')).Distinct());
    }

    [Fact]
    public void Replace_changes_only_what_stands_between_the_markers()
    {
        var document = $"before\n{MarkdownTable.Begin}\nold\n{MarkdownTable.End}\nafter\n";
        var once = MarkdownTable.Replace(document, "new\n", "README.md");
        Assert.Equal($"before\n{MarkdownTable.Begin}\nnew\n{MarkdownTable.End}\nafter\n", once);
        Assert.Equal(once, MarkdownTable.Replace(once, "new\n", "README.md"));
    }

    [Theory]
    [InlineData("nothing")]
    [InlineData($"{MarkdownTable.Begin} only")]
    [InlineData($"{MarkdownTable.End} {MarkdownTable.Begin}")]
    [InlineData($"{MarkdownTable.Begin} {MarkdownTable.Begin} {MarkdownTable.End}")]
    public void A_document_without_the_markers_is_refused(string document) =>
        Assert.Contains("README.md", Assert.Throws<BenchException>(() => MarkdownTable.Replace(document, "t", "README.md")).Message);
}
