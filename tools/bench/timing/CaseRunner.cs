using Plip.Engine;

namespace Plip.Bench;

/// <summary>Runs a case beside each family of peers that has it; a row for each, and one for ours alone where there is none.</summary>
internal sealed class CaseRunner(CpuDevice device, PeerRegistry peers, Sampler sampler, Machine machine)
{
    /// <summary>Times the case.</summary>
    /// <exception cref="BenchException">A peer does not do the same work.</exception>
    public IEnumerable<ResultRow> Run(BenchCase c)
    {
        using var ours = c.Ours(device);
        var facts = ours.Facts();
        var any = false;
        foreach (var family in peers.For(c.Name))
        {
            any = true;
            var variant = Fastest([.. family], facts);
            using var peer = variant.Make();
            Fact.RequireSame(facts, peer.Facts(), variant.Name);
            var (mine, theirs) = sampler.Alternate(ours, peer);
            yield return Row(c, mine, variant.Name, theirs);
        }
        if (!any) yield return Row(c, sampler.Alternate(ours, null).Ours, null, null);
    }

    private PeerRegistry.Variant Fastest(PeerRegistry.Variant[] variants, Fact[] facts)
    {
        if (variants.Length == 1) return variants[0];
        return variants.MinBy(v =>
        {
            using var work = v.Make(); // one at a time: two whole networks would not fit a small machine
            Fact.RequireSame(facts, work.Facts(), v.Name);
            return sampler.Quick(work);
        })!;
    }

    private ResultRow Row(BenchCase c, double seconds, string? peer, double? peerSeconds) => ResultRow.Of(c, seconds, machine.FloorMs(c.Flops, c.Bytes)) with
    {
        Peer = peer,
        PeerMs = peerSeconds * 1e3,
        Ratio = peerSeconds / seconds,
        PeerItemsPerSecond = c.Items > 0 && peerSeconds is { } s ? c.Items / s : null,
    };
}
