using Plip.Engine;

namespace Plip.Bench;

/// <summary>What an input is, and so how a peer must lay it out.</summary>
internal enum InputKind
{
    /// <summary>Row-major in both worlds.</summary>
    Plain,

    /// <summary>Pictures (N, H, W, C).</summary>
    Picture,

    /// <summary>Filters (R, S, C, K).</summary>
    Filter,

    /// <summary>I32 indices below <see cref="OpInput.Range"/>.</summary>
    Index,

    /// <summary>I32 offsets of packed sequences: the running sum of <see cref="SyntheticText.Lengths"/>.</summary>
    Offsets,
}

/// <summary>An input of an op: shape as ours takes it, values from a fixed stream.</summary>
/// <param name="Kind">Layout.</param>
/// <param name="Shape">Extents.</param>
internal sealed record OpInput(InputKind Kind, params int[] Shape)
{
    /// <summary>Takes part in the backward.</summary>
    public bool Grad { get; init; } = Kind is InputKind.Plain or InputKind.Picture or InputKind.Filter;

    /// <summary>Added to the standard normal values: 1 for running variances and scales.</summary>
    public float Shift { get; init; }

    /// <summary>Factor on the standard normal values.</summary>
    public float Scale { get; init; } = 1f;

    /// <summary>Exclusive bound of <see cref="InputKind.Index"/>.</summary>
    public int Range { get; init; }

    public long Count => Shape.Aggregate(1L, (a, b) => a * b);

    public double Bytes => 4.0 * Count;
}

/// <summary>Which way an op is run.</summary>
internal enum Pass
{
    /// <summary>Nothing is recorded.</summary>
    Forward,

    /// <summary>All gradients, the forward not timed.</summary>
    Backward,

    /// <summary>The gradient of the first input alone, the forward not timed.</summary>
    DataGradient,

    /// <summary>The gradient of the second input alone, the forward not timed.</summary>
    WeightGradient,
}

/// <summary>
/// An op at a shape, for us and for peers alike: both make the same inputs from it and look the op up by its key.
/// </summary>
/// <param name="Group">Group of the report.</param>
/// <param name="Op">Snake name.</param>
/// <param name="Shape">Shape, as text.</param>
/// <param name="Inputs">Inputs in the op's order.</param>
/// <param name="Pass">Direction.</param>
/// <param name="Flops">Counted operations.</param>
/// <param name="Bytes">Least traffic.</param>
/// <param name="Ours">The op.</param>
internal sealed record OpSpec(string Group, string Op, string Shape, OpInput[] Inputs, Pass Pass, double Flops, double Bytes, Func<Tensor[], Tensor> Ours)
{
    /// <summary>Stride and padding of convolutions; factor of poolings; heads of attention.</summary>
    public (int First, int Second) Args { get; init; }

    /// <summary>How activations and filters are stored; lists, vectors and statistics are as they always are.</summary>
    public DType Type { get; private init; }

    /// <summary>Takes nothing but F32.</summary>
    public bool F32Only { get; init; }

    public string Name => $"{Op} {Shape} {Direction}".TrimEnd() + (Type == DType.BF16 ? " bf16" : "");

    /// <summary>The same in BF16; null for an op that takes nothing but F32.</summary>
    public OpSpec? InBF16() => F32Only ? null : this with { Type = DType.BF16, Bytes = Bytes / 2 };

    /// <summary>Whether this input is stored as <see cref="Type"/> says.</summary>
    public bool IsStored(OpInput input) => input.Kind is not (InputKind.Index or InputKind.Offsets) && input.Shape.Length > 1;

    /// <summary>Indices of the inputs whose gradients are computed.</summary>
    public int[] Leaves => Pass switch
    {
        Pass.Forward => [],
        Pass.DataGradient => [0],
        Pass.WeightGradient => [1],
        _ => [.. Enumerable.Range(0, Inputs.Length).Where(i => Inputs[i].Grad)],
    };

    private string Direction => Pass switch
    {
        Pass.Forward => Group == "gemm" ? "" : "forward",
        Pass.Backward => "backward",
        Pass.DataGradient => "data gradient",
        _ => "weight gradient",
    };
}

/// <summary>The list of op cases.</summary>
internal static class OpSpecs
{
    public static IReadOnlyList<OpSpec> All { get; } = Of(Sizes.Cpu);

    public static IReadOnlyList<OpSpec> Of(Sizes sizes) => [.. GemmSpecs.Of(sizes), .. ConvSpecs.Of(sizes), .. PictureSpecs.Of(sizes), .. TokenSpecs.Of(sizes), .. LossSpecs.Of(sizes)];
}
