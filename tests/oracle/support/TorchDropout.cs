using Plip.Engine;
using TorchSharp;

namespace Plip.Oracle;

/// <summary>
/// The masks a step's dropouts draw, in the order of their use, from the generator's documented stream rather than from
/// our op: a layer that dropped in another order or place would not match.
/// </summary>
internal sealed class TorchDropout(ulong seed, uint step, float p)
{
    private const uint First = 0xD0000000; // DropoutStream's
    private uint _next;

    public torch.Tensor Apply(torch.Tensor x)
    {
        if (p == 0) return x;
        var random = new Philox(seed, First + _next++, step);
        var factors = Enumerable.Range(0, (int)x.numel()).Select(i => random.Uniform((ulong)i) >= p ? 1 / (1.0 - p) : 0).ToArray();
        return x * torch.tensor(factors, x.shape);
    }

    /// <summary>x + a, with a left out of pictures by chance.</summary>
    public torch.Tensor AddBranch(torch.Tensor x, torch.Tensor a, float skip)
    {
        if (skip == 0) return x + a;
        var random = new Philox(seed, First + _next++, step);
        var factors = Enumerable.Range(0, (int)x.shape[0]).Select(n => random.Uniform((ulong)n) >= skip ? 1 / (1.0 - skip) : 0).ToArray();
        return x + a * torch.tensor(factors, [x.shape[0], .. Enumerable.Repeat(1L, x.shape.Length - 1)]);
    }
}
