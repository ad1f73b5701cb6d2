using System.Globalization;
using System.Text;

namespace Plip.Bench;

/// <summary>The Markdown form of a result, and its place in a README.</summary>
internal static class MarkdownTable
{
    public const string Begin = "<!-- bench:begin -->", End = "<!-- bench:end -->";
    public const string CudaBegin = "<!-- cuda:begin -->", CudaEnd = "<!-- cuda:end -->";

    private static readonly (string Group, string Title)[] Groups =
        [("gemm", "GEMM"), ("conv", "Convolution"), ("fused", "Fused ops"), ("step", "Whole steps"), ("embedding", "Embedding")];

    /// <summary>The machine in two lines, then a table for each group that has rows.</summary>
    public static string Of(BenchResult result)
    {
        var text = new StringBuilder();
        var m = result.Machine;
        if (m.Gpu != null) text.Append(CultureInfo.InvariantCulture, $"{m.Date}: {m.Describe().ReplaceLineEndings(".\n")}.\n");
        else text.Append(CultureInfo.InvariantCulture, $"{m.Date}: {m.CpuModel}, {m.Threads} threads of {m.LogicalCores} logical cores, {m.VectorBits}-bit vectors, {m.Dotnet}, {(m.Libtorch == null ? "no LibTorch" : $"LibTorch {m.Libtorch}")}.\n");
        if (m.Gpu == null) text.Append(CultureInfo.InvariantCulture, $"FMA peak {m.PeakGflops:0} GFLOP/s; memory {m.BandwidthGbs:0.0} GB/s (copy {m.CopyGbs:0.0}, triad {m.TriadGbs:0.0}).\n");
        foreach (var (group, title) in Groups)
        {
            var rows = result.Rows.Where(r => r.Group == group).ToArray();
            if (rows.Length == 0) continue;
            var items = rows.Any(r => r.ItemsPerSecond != null);
            text.Append(CultureInfo.InvariantCulture, $"\n**{title}**\n\n| case | ours ms | peer ms | peer / ours | share of floor | GFLOP/s |{(items ? " a second, ours / peer |" : "")} peer |\n| --- | ---: | ---: | ---: | ---: | ---: |{(items ? " ---: |" : "")} --- |\n");
            foreach (var r in rows)
                text.Append(CultureInfo.InvariantCulture, $"| {r.Name} | {Ms(r.OursMs)} | {(r.PeerMs is { } p ? Ms(p) : "")} | {r.Ratio:0.00} | {100 * r.ShareOfFloor:0} % | {r.Gflops:0} |{(items ? $" {PerSecond(r)} |" : "")} {r.Peer} |\n");
        }
        return text.ToString();
    }

    /// <summary>The document with what stands between the two markers replaced.</summary>
    /// <exception cref="BenchException">The markers are not there, once each and in order.</exception>
    public static string Replace(string document, string table, string name, bool cuda = false)
    {
        var (first, last) = cuda ? (CudaBegin, CudaEnd) : (Begin, End);
        int begin = document.IndexOf(first, StringComparison.Ordinal), end = document.IndexOf(last, StringComparison.Ordinal);
        if (begin < 0 || end < begin || document.LastIndexOf(first, StringComparison.Ordinal) != begin || document.LastIndexOf(last, StringComparison.Ordinal) != end)
            throw new BenchException($"{name}: expected one line {first} and after it one line {last}");
        return $"{document[..(begin + first.Length)]}\n{table.TrimEnd('\n')}\n{document[end..]}";
    }

    // Three digits: more would be noise.
    private static string Ms(double ms) => ms.ToString(ms >= 100 ? "0" : ms >= 10 ? "0.0" : ms >= 1 ? "0.00" : "0.000", CultureInfo.InvariantCulture);

    private static string PerSecond(ResultRow r) => r.ItemsPerSecond is not { } ours ? ""
        : string.Create(CultureInfo.InvariantCulture, $"{ours:0.0} / {(r.PeerItemsPerSecond is { } peer ? peer.ToString("0.0", CultureInfo.InvariantCulture) : "–")} {r.Items}");
}
