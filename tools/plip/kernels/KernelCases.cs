using Plip.Engine;

namespace Plip.Tool;

/// <summary>
/// The cases that together launch every kernel of kernels/*.cu; <c>plip kernels check</c> fails while one is missing. A new op is
/// a line in one of the lists in cases/. Shapes are ragged and small, but of several blocks, tiles and chunks where a kernel has them.
/// </summary>
internal static class KernelCases
{
    public static IReadOnlyList<KernelCase> All { get; } =
        [.. ElementCases.All, .. RowCases.All, .. TokenCases.All, .. AttentionCases.All, .. PictureCases.All, .. ConvCases.All, .. LossCases.All, .. UpdateCases.All];

    /// <summary>What a type is called in the lists that commands print.</summary>
    public static string Name(DType type) => type switch
    {
        DType.F32 => "F32",
        DType.BF16 => "BF16",
        DType.F16 => "F16",
        _ => type.ToString(),
    };
}
