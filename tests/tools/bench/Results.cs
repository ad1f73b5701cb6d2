using Plip.Bench;

namespace Plip.Tests.Tools.Bench;

/// <summary>A result with a row of each kind.</summary>
internal static class Results
{
    public static Machine Machine { get; } = new("A processor", 4, 2, 400.5, 40.25, 40.25, 38, "2026-01-31", 512, ".NET 10.0.1", "2.10.0");

    public static BenchResult Some { get; } = new(Machine,
    [
        new ResultRow { Group = "gemm", Name = "gemm_nn 2x3x4", OursMs = 1.25, Peer = "libtorch", PeerMs = 2.5, Ratio = 2, ShareOfFloor = 0.815, Gflops = 412.4 },
        new ResultRow { Group = "fused", Name = "adan 16", OursMs = 123.4, ShareOfFloor = 1.5 },
        new ResultRow
        {
            Group = "step", Name = "step x batch 8", OursMs = 12.34, Peer = "libtorch nchw", PeerMs = 0.5, Ratio = 0.0405, ShareOfFloor = 0.5, Gflops = 10,
            Items = "pairs", ItemsPerSecond = 648.3, PeerItemsPerSecond = 16000,
        },
    ]);
}
