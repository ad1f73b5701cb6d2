using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Plip.Bench.Peers;

/// <summary>The ops of the list in LibTorch's words, by our snake name; in place where a PyTorch user would.</summary>
internal static class TorchOps
{
    public static IReadOnlyDictionary<string, Func<Tensor[], OpSpec, Tensor>> Table { get; } = new Dictionary<string, Func<Tensor[], OpSpec, Tensor>>(StringComparer.Ordinal)
    {
        ["gemm_nn"] = (x, _) => matmul(x[0], x[1]),
        ["gemm_nt"] = (x, _) => matmul(x[0], x[1].t()),
        ["gemm_tn"] = (x, _) => matmul(x[0].t(), x[1]),
        ["conv2d"] = (x, s) => functional.conv2d(x[0], x[1], strides: [s.Args.First, s.Args.First], padding: [s.Args.Second, s.Args.Second]),
        ["conv_transpose2d"] = (x, s) => functional.conv_transpose2d(
            x[0], x[1], strides: [s.Args.First, s.Args.First], padding: [s.Args.Second, s.Args.Second], output_padding: [1, 1]),
        ["batch_norm_relu"] = (x, _) => BatchNorm(x).relu_(),
        ["batch_norm_add_relu"] = (x, _) => BatchNorm(x).add_(x[5]).relu_(),
        ["relu"] = (x, _) => functional.relu(x[0]),
        ["add"] = (x, _) => x[0] + x[1],
        ["avg_pool2d"] = (x, s) => functional.avg_pool2d(x[0], s.Args.First),
        ["max_pool2d"] = (x, s) => functional.max_pool2d(x[0], s.Args.First),
        ["max_pixels"] = (x, _) => x[0].amax([2, 3]),
        ["mean_pixels"] = (x, _) => x[0].mean([2, 3]),
        ["scale_channels"] = (x, _) => x[0] * x[1].unsqueeze(-1).unsqueeze(-1),
        ["upsample_bilinear2d_x8"] = (x, _) => functional.interpolate(x[0], [x[0].shape[2] * 8, x[0].shape[3] * 8], mode: InterpolationMode.Bilinear, align_corners: false),
        ["concat_4"] = (x, _) => cat(x, 1),
        ["layer_norm"] = (x, _) => functional.layer_norm(x[0], [x[0].shape[1]], x[1], x[2], 1e-12),
        ["add_layer_norm"] = (x, _) => functional.layer_norm(functional.dropout(x[1], 0.1, training: true).add_(x[0]), [x[0].shape[1]], x[2], x[3], 1e-12),
        ["linear_gelu"] = (x, _) => functional.gelu(functional.linear(x[0], x[1], x[2])),
        ["softmax"] = (x, _) => functional.softmax(x[0], -1),
        ["gelu"] = (x, _) => functional.gelu(x[0]),
        ["dropout"] = (x, _) => functional.dropout(x[0], 0.1, training: true),
        ["l2_normalize"] = (x, _) => functional.normalize(x[0], dim: -1),
        ["embedding"] = (x, _) => x[0].index_select(0, x[1]),
        ["cross_entropy"] = (x, _) => functional.cross_entropy(x[0], x[1]),
        ["linear_cross_entropy"] = (x, _) => functional.cross_entropy(functional.linear(x[0], x[1], x[2]), x[3]),
        ["cmpm"] = (x, _) => Cmpm(x[0], x[1], x[2]),
        ["info_nce"] = (x, _) => InfoNce(x[0], x[1], 10),
        ["euclidean_loss"] = (x, _) => Euclidean(x[0], x[1]),
    };

    /// <summary>Cross-modal projection matching, both directions added.</summary>
    public static Tensor Cmpm(Tensor v, Tensor t, Tensor identities)
    {
        var same = identities.unsqueeze(0).eq(identities.unsqueeze(1)).to(ScalarType.Float32);
        var log = (same / same.sum(1, keepdim: true) + 1e-8).log();
        Tensor Divergence(Tensor from, Tensor to)
        {
            var p = functional.log_softmax(from.matmul(functional.normalize(to, dim: 1).t()), 1);
            return (p.exp() * (p - log)).sum(1).mean();
        }
        return Divergence(v, t) + Divergence(t, v);
    }

    /// <summary>Symmetrical InfoNCE, the mean of both directions.</summary>
    public static Tensor InfoNce(Tensor v, Tensor t, double scale)
    {
        var logits = scale * functional.normalize(v, dim: 1).matmul(functional.normalize(t, dim: 1).t());
        var own = arange(v.shape[0], int64);
        return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.t(), own)) / 2;
    }

    /// <summary>Mean over the batch of each picture's L2 norm.</summary>
    public static Tensor Euclidean(Tensor pred, Tensor target) => linalg.vector_norm(pred - target, 2, [1, 2, 3]).mean();

    private static Tensor BatchNorm(Tensor[] x) => functional.batch_norm(x[0], x[3], x[4], x[1], x[2], training: true);
}
