using Plip.Configs;
using Plip.Engine;

namespace Plip.Bench;

/// <summary>What is timed on a GPU: the same list at a GPU's sizes, activations in BF16 as a step has them, or all in F32.</summary>
internal static class CudaCases
{
    /// <summary>The cases of a storage type. Ops that take nothing but F32 are in both lists under the same name.</summary>
    public static IReadOnlyList<BenchCase> Of(DType type, Sizes sizes)
    {
        var precision = type == DType.BF16 ? Precision.BF16 : Precision.F32;
        return
        [
            .. Specs(type, sizes).Select(OpWork.Case), .. Alone(type, sizes).Select(OpWork.Case), .. OptimizerCases.All,
            .. type == DType.BF16 ? ContrastCases.All : [],
            .. ModelSpec.GpuSteps.Select(s => StepCases.Case(s with { Precision = precision })),
            .. type == DType.F32 ? ModelSpec.GpuSteps.SelectMany(EmbeddingCases.Cases) : [],
        ];
    }

    /// <summary>The ops among them, for a twin in another language.</summary>
    public static IEnumerable<OpSpec> Specs(DType type, Sizes sizes) => Stored(type, OpSpecs.Of(sizes));

    /// <summary>What is timed on a GPU alone, without a twin: shapes that only a GPU meets, fused pairs, and the rungs of ladders.</summary>
    public static IEnumerable<OpSpec> Alone(DType type, Sizes sizes) =>
        Stored(type, [.. AttentionSpecs.OnGpu(sizes), .. ConvSpecs.OnGpu(sizes), .. RowLadderSpecs.Of(sizes)]);

    /// <summary>One case of each op and direction, the cheapest, at sizes that the emulator can bear; and the small model's step.</summary>
    public static IReadOnlyList<BenchCase> Small(DType type)
    {
        var specs = Specs(type, Sizes.Small).Concat(Alone(type, Sizes.Small)).GroupBy(s => (s.Op, s.Pass)).Select(g => g.MinBy(s => s.Flops + s.Bytes)!);
        return [.. specs.Select(OpWork.Case), StepCases.Case(new ModelSpec("plip-tiny", 2, 200) { Precision = type == DType.BF16 ? Precision.BF16 : Precision.F32 })];
    }

    private static IEnumerable<OpSpec> Stored(DType type, IEnumerable<OpSpec> specs) => specs.Select(s => type == DType.BF16 ? s.InBF16() ?? s : s);
}
