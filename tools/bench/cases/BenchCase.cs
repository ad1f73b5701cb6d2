using Plip.Engine;

namespace Plip.Bench;

/// <summary>Something to time.</summary>
/// <param name="Group">gemm, conv, fused, step or embedding.</param>
/// <param name="Name">Unique; peers are found by it.</param>
/// <param name="Flops">Operations, counted by formula; 0 where traffic alone matters.</param>
/// <param name="Bytes">Least traffic: every input read once, every output written once.</param>
/// <param name="Ours">Puts our side in place.</param>
internal sealed record BenchCase(string Group, string Name, double Flops, double Bytes, Func<Device, Timed> Ours)
{
    /// <summary>How many of <see cref="ItemName"/> a run handles; 0 for ops.</summary>
    public int Items { get; init; }

    /// <summary>pairs, pictures, texts.</summary>
    public string? ItemName { get; init; }
}

/// <summary>Everything there is to time, in the order of the report.</summary>
internal static class CaseList
{
    public static IReadOnlyList<BenchCase> All() =>
        [.. OpSpecs.All.Select(OpWork.Case), .. OptimizerCases.All, .. StepCases.All, .. EmbeddingCases.All];
}
