using System.CommandLine;

namespace Plip.Bench;

/// <summary><c>bench join</c>: a twin's times into the rows of the same cases. Both must have been taken on the same GPU.</summary>
internal static class JoinCommand
{
    public static Command Create()
    {
        var result = new Argument<string>("result") { Description = "A results file of bench cuda; it is written again." };
        var twin = new Argument<string>("twin") { Description = "What tools/gpu-check/torch_twin.py wrote." };
        var command = new Command("join", "Join PyTorch's times with ours.") { result, twin };
        command.SetAction(p =>
        {
            var path = p.GetValue(result)!;
            var joined = Join(BenchResult.Load(path), TwinResult.Load(p.GetValue(twin)!), path);
            joined.Save(path);
            foreach (var r in joined.Rows.Where(r => r is { ItemsPerSecond: not null, PeerItemsPerSecond: not null }))
                Console.Out.WriteLine(FormattableString.Invariant($"{r.Name}: ours {r.ItemsPerSecond:0.0} {r.Items}/s, {r.Peer} {r.PeerItemsPerSecond:0.0} {r.Items}/s: x{r.Ratio:0.00}"));
            Console.Out.WriteLine(Summary(joined));
            return 0;
        });
        return command;
    }

    /// <summary>The result with its rows' peers filled in.</summary>
    /// <exception cref="BenchException">The two were not taken on the same GPU.</exception>
    internal static BenchResult Join(BenchResult ours, TwinResult twin, string path)
    {
        if (ours.Machine.Gpu is not { } gpu) throw new BenchException($"{path}: it was not measured on a GPU, so there is nothing to join");
        if (gpu.Name != twin.Gpu) throw new BenchException($"{path}: it was measured on {gpu.Name}, and PyTorch's times on {twin.Gpu}");
        var peers = twin.Rows.ToDictionary(r => r.Name, StringComparer.Ordinal);
        return new BenchResult(
            ours.Machine with { Gpu = gpu with { Torch = twin.Torch } },
            [.. ours.Rows.Select(r => peers.TryGetValue(r.Name, out var p) ? r with
            {
                Peer = p.Peer,
                PeerMs = p.Ms,
                Ratio = p.Ms / r.OursMs,
                PeerItemsPerSecond = r.ItemsPerSecond * r.OursMs / p.Ms,
            } : r)]);
    }

    private static string Summary(BenchResult result)
    {
        var rows = result.Rows.Where(r => r.Ratio != null).ToArray();
        return FormattableString.Invariant($"{rows.Length} rows joined; PyTorch / ours: at least 1 in {rows.Count(r => r.Ratio >= 1)}, at least 1.5 in {rows.Count(r => r.Ratio >= 1.5)}");
    }
}
