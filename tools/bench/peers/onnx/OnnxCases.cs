namespace Plip.Bench.Peers;

/// <summary>ONNX Runtime beside the embedding cases: the same weights, pictures and captions.</summary>
internal static class OnnxCases
{
    private const string Family = "onnxruntime";

    /// <summary>Adds a peer for every embedding case.</summary>
    public static void Register(PeerRegistry peers)
    {
        var threads = 1;
        peers.Versions[Family] = OnnxPeer.Version;
        peers.OnStart(n => threads = n);
        foreach (var spec in EmbeddingCases.Models)
        {
            peers.Add(EmbeddingCases.Pictures(spec), Family, "", () => Pictures(spec, threads));
            peers.Add(EmbeddingCases.Texts(spec), Family, "", () => Texts(spec, threads));
        }
    }

    private static Timed Pictures(ModelSpec spec, int threads)
    {
        var config = spec.Load();
        OnnxAgreement.RequirePictures(config, threads);
        using var subject = OnnxSubject.Pictures(config, threads);
        return Timed(OnnxPeer.Pictures(subject.Config, subject.State, SyntheticBatch.For(config, spec.Batch).Images, spec.Batch, threads));
    }

    private static Timed Texts(ModelSpec spec, int threads)
    {
        var config = spec.Load();
        OnnxAgreement.RequireTexts(config, threads);
        using var subject = OnnxSubject.Texts(config, threads);
        var batch = SyntheticBatch.For(config, spec.Batch);
        return Timed(OnnxPeer.Texts(subject.Config, subject.State, batch.Ids, batch.Offsets, threads));
    }

    // The agreement was of other weights; the fact ties the session that is timed to the case's.
    private static Timed Timed(OnnxPeer peer) => new(peer.Run, release: peer.Dispose, facts: () =>
    {
        peer.Run();
        return [new("roughness of the embeddings", EmbeddingCases.Roughness(peer.Embeddings), 1e-3)];
    });
}
