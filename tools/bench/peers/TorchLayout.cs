using TorchSharp;
using static TorchSharp.torch;

namespace Plip.Bench.Peers;

/// <summary>
/// LibTorch's two layouts of pictures. To LibTorch a tensor whose strides are NHWC's is channels_last, and so is what is
/// computed from it; TorchSharp has no other way to say so.
/// </summary>
internal sealed record TorchLayout(string Name, bool ChannelsLast)
{
    public static TorchLayout[] Both { get; } = [new("channels_last", true), new("nchw", false)];

    /// <summary>Values (N, H, W, C) as (N, C, H, W).</summary>
    public Tensor Picture(float[] values, params long[] shape) => Lay(tensor(values, shape).permute(0, 3, 1, 2));

    /// <summary>Values (R, S, C, K) as (K, C, R, S).</summary>
    public Tensor Filter(float[] values, params long[] shape) => Lay(tensor(values, shape).permute(3, 2, 0, 1));

    /// <summary>A tensor (A, B, C, D) in this layout.</summary>
    public Tensor Lay(Tensor x) => ChannelsLast ? x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2) : x.contiguous();
}
