using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Plip.Oracle;

/// <summary>The losses written from their formulas in LibTorch's operators; LibTorch's autograd differentiates them.</summary>
internal static class TorchLosses
{
    /// <summary>Cross-modal projection matching, both directions added; SDM is its cosine form at scale 50.</summary>
    public static Tensor Cmpm(Tensor v, Tensor t, Tensor identities, bool cosines, double scale, bool labelsByL2)
    {
        var same = Same(identities);
        var q = labelsByL2 ? functional.normalize(same, dim: 1) : same / same.sum(1, keepdim: true);
        Tensor Divergence(Tensor from, Tensor to)
        {
            var own = cosines ? functional.normalize(from, dim: 1) : from;
            var log = functional.log_softmax(scale * own.matmul(functional.normalize(to, dim: 1).t()), 1);
            return (log.exp() * (log - (q + 1e-8).log())).sum(1).mean();
        }
        return Divergence(v, t) + Divergence(t, v);
    }

    /// <summary>Symmetrical InfoNCE, the mean of both directions, by LibTorch's cross entropy.</summary>
    public static Tensor InfoNce(Tensor v, Tensor t, double scale)
    {
        var logits = scale * functional.normalize(v, dim: 1).matmul(functional.normalize(t, dim: 1).t());
        var own = arange(v.shape[0], int64);
        return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.t(), own)) / 2;
    }

    /// <summary>ViTAA's alignment loss: log(1 + eᶻ) over all pairs, divided by N.</summary>
    public static Tensor Alignment(Tensor v, Tensor t, Tensor identities, double alpha = 0.6, double beta = 0.4, double positive = 10, double negative = 40)
    {
        var s = functional.normalize(v, dim: 1).matmul(functional.normalize(t, dim: 1).t());
        var same = Same(identities);
        var z = same * (-positive * (s - alpha)) + (1 - same) * (negative * (s - beta));
        return logaddexp(z, zeros_like(z)).sum() / v.shape[0];
    }

    /// <summary>Mean over the batch of each picture's L2 norm.</summary>
    public static Tensor Euclidean(Tensor pred, Tensor target) => linalg.vector_norm((pred - target).flatten(1), 2, [1]).mean();

    /// <summary>The gray form of normalised pictures (N, H, W, 3), by way of pixels in 0..1.</summary>
    public static Tensor ToGray(Tensor x, float[] mean, float[] std)
    {
        var (m, s) = (Torch.Of(mean, 3), Torch.Of(std, 3));
        var gray = (x * s + m).matmul(tensor(new[] { 0.299, 0.587, 0.114 })).unsqueeze(-1);
        return (gray - m) / s;
    }

    private static Tensor Same(Tensor identities) => identities.unsqueeze(0).eq(identities.unsqueeze(1)).to(float64);
}
