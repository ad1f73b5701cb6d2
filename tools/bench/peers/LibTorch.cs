using System.Runtime.InteropServices;
using TorchSharp;

namespace Plip.Bench.Peers;

/// <summary>LibTorch by TorchSharp: its cases, its threads, its memory.</summary>
internal static partial class LibTorch
{
    public const string Family = "libtorch";

    /// <summary>Adds LibTorch to every case it can do.</summary>
    public static void Register(PeerRegistry peers)
    {
        peers.Versions[Family] = torch.__version__;
        peers.OnStart(threads =>
        {
            torch.set_num_threads(threads);
            KeepMemory();
        });
        foreach (var spec in OpSpecs.All) TorchOpWork.Register(peers, spec);
        TorchOptimizers.Register(peers);
        foreach (var spec in ModelSpec.Steps)
            foreach (var layout in TorchLayout.Both)
                peers.Add(spec.StepName, Family, layout.Name, () => StepPeer.Make(spec, layout));
        foreach (var spec in EmbeddingCases.Models)
        {
            foreach (var layout in TorchLayout.Both) peers.Add(EmbeddingCases.Pictures(spec), Family, layout.Name, () => EmbeddingPeer.Pictures(spec, layout));
            peers.Add(EmbeddingCases.Texts(spec), Family, "", () => EmbeddingPeer.Texts(spec));
        }
    }

    /// <summary>
    /// LibTorch takes every result from malloc, and glibc gives large blocks back to the system at once: each op would then pay for fresh
    /// pages. Who tunes LibTorch runs it on an allocator that keeps its memory; these two settings make glibc's one.
    /// </summary>
    private static void KeepMemory()
    {
        const int trimThreshold = -1, mmapMax = -4;
        if (MallOpt(mmapMax, 0) != 1 || MallOpt(trimThreshold, int.MaxValue) != 1)
            throw new BenchException("mallopt refused: LibTorch would pay for fresh pages in every op, and the comparison would flatter ours");
    }

    [LibraryImport("libc", EntryPoint = "mallopt")]
    private static partial int MallOpt(int parameter, int value);
}
