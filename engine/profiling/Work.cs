namespace Plip.Engine;

/// <summary>What a launch must do at the least, whoever does it: the floor a profiler measures against.</summary>
/// <param name="Name">The kernel's name, as the CUDA device spells it: <c>layer_norm_forward</c>.</param>
/// <param name="Bytes">Memory traffic when every input is read once and every output written once.</param>
/// <param name="Flops">Floating-point operations; a fused multiply-add is two.</param>
public readonly record struct Work(string Name, long Bytes, double Flops)
{
    /// <summary>Work on whole tensors: the bytes of each, once, and so many operations for each element of the first.</summary>
    internal static Work On(string name, double flopsPerElement, Tensor first, Tensor? second = null, Tensor? third = null, Tensor? fourth = null) =>
        new(name, first.Bytes + (second?.Bytes ?? 0) + (third?.Bytes ?? 0) + (fourth?.Bytes ?? 0), flopsPerElement * first.Count);
}
