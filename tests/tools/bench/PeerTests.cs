using Plip.Bench;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Tools.Bench;

public class PeerTests
{
    private static readonly BenchCase Case = new("gemm", "a case", 1e6, 1e3, _ => new Timed(() => { }, facts: () => [new("loss", 2.0, 0.05)]));

    [Fact]
    public void Each_family_has_a_row_of_its_own()
    {
        var peers = new PeerRegistry();
        peers.Add(Case.Name, "one", "fast", () => Same(2.02));
        peers.Add(Case.Name, "one", "slow", () => Same(1.98));
        peers.Add(Case.Name, "other", "", () => Same(2.0));
        var rows = Rows(peers);
        Assert.Equal(2, rows.Length);
        Assert.Contains(rows[0].Peer, new[] { "one fast", "one slow" });
        Assert.Equal("other", rows[1].Peer);
        Assert.All(rows, r => Assert.Equal(r.PeerMs!.Value / r.OursMs, r.Ratio!.Value, 1e-9 * r.Ratio.Value));
    }

    [Fact]
    public void Without_a_peer_there_is_a_row_all_the_same()
    {
        var row = Assert.Single(Rows(new PeerRegistry()));
        Assert.Equal((null, null, null), (row.Peer, row.PeerMs, row.Ratio));
    }

    [Fact]
    public void A_peer_that_does_other_work_is_not_compared()
    {
        var peers = new PeerRegistry();
        peers.Add(Case.Name, "one", "", () => Same(2.2));
        var error = Assert.Throws<BenchException>(() => Rows(peers)).Message;
        Assert.Contains("loss is 2 here and 2.2 in one", error);
        var silent = new PeerRegistry();
        silent.Add(Case.Name, "one", "", () => new Timed(() => { }));
        Assert.Contains("loss", Assert.Throws<BenchException>(() => Rows(silent)).Message);
    }

    [Fact]
    public void A_peer_for_a_case_that_there_is_not_is_named()
    {
        var peers = new PeerRegistry();
        peers.Add("another case", "one", "fast", () => Same(2));
        var error = Assert.Throws<BenchException>(() => peers.RequireKnown([Case.Name])).Message;
        Assert.Contains("one fast", error);
        Assert.Contains("another case", error);
    }

    private static ResultRow[] Rows(PeerRegistry peers)
    {
        using var device = new CpuDevice(1);
        return [.. new CaseRunner(device, peers, new Sampler(repeats: 1), Results.Machine).Run(Case)];
    }

    private static Timed Same(double loss) => new(() => { }, facts: () => [new("loss", loss, 0)]);
}
