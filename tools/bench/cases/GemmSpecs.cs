using Plip.Engine;

namespace Plip.Bench;

/// <summary>Products C (m×n) = A·B with k terms: what linear layers (NT), their data gradients (NN) and weight gradients (TN) are.</summary>
internal static class GemmSpecs
{
    // plip-tiny's linears.
    private static readonly (int M, int N, int K)[] Tiny = [(1664, 64, 64), (1664, 256, 64), (1664, 64, 256), (64, 64, 512), (320, 2000, 64)];

    public static IEnumerable<OpSpec> Of(Sizes sizes) =>
    [
        .. Large(sizes).SelectMany(s => new[] { Nn(s), Nt(s), Tn(s) }),
        .. Tiny.SelectMany(s => new[] { Nt(s) }),
    ];

    // m×n×k: BERT-base over a batch's tokens, a 1×1 convolution of ResNet-50 over its pictures, a small square.
    private static (int M, int N, int K)[] Large(Sizes s) =>
        [(s.Tokens, 768, 768), (s.Tokens, 3072, 768), (s.Tokens, 768, 3072), (s.Pictures * 2048, 256, 64), (256, 256, 256)];

    private static OpSpec Nn((int M, int N, int K) s) => Spec("gemm_nn", s, [s.M, s.K], [s.K, s.N], t => Ops.MatMul(t[0], t[1]));

    private static OpSpec Nt((int M, int N, int K) s) => Spec("gemm_nt", s, [s.M, s.K], [s.N, s.K], t => Ops.MatMul(t[0], t[1], transB: true));

    private static OpSpec Tn((int M, int N, int K) s) => Spec("gemm_tn", s, [s.K, s.M], [s.K, s.N], t => Ops.MatMul(t[0], t[1], transA: true));

    private static OpSpec Spec(string op, (int M, int N, int K) s, int[] a, int[] b, Func<Tensor[], Tensor> ours)
    {
        var (m, n, k) = ((double)s.M, (double)s.N, (double)s.K);
        return new OpSpec("gemm", op, FormattableString.Invariant($"{s.M}x{s.N}x{s.K}"), [new OpInput(InputKind.Plain, a), new OpInput(InputKind.Plain, b)],
            Pass.Forward, 2 * m * n * k, 4 * (m * k + k * n + m * n), ours);
    }
}
