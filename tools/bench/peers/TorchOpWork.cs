using TorchSharp;
using static TorchSharp.torch;

namespace Plip.Bench.Peers;

/// <summary>
/// LibTorch's side of an op case. A forward runs in inference mode; a backward is asked for the same gradients as ours, of a
/// graph recorded once and kept.
/// </summary>
internal static class TorchOpWork
{
    public static void Register(PeerRegistry peers, OpSpec spec)
    {
        // Its backward hands out views and computes nothing; what it leaves undone, the next op pays for.
        if (spec is { Op: "concat_4", Pass: Pass.Backward }) return;
        if (spec.Op == "attention")
        {
            peers.Add(spec.Name, LibTorch.Family, "padded", () => Make(spec, TorchLayout.Both[1], PaddedAttention.Inputs(spec), PaddedAttention.For(spec)));
            return;
        }
        if (!TorchOps.Table.TryGetValue(spec.Op, out var op)) throw new BenchException($"{spec.Name}: LibTorch's side of {spec.Op} is missing");
        // Layout matters to pictures of more than one pixel.
        var layouts = Array.Exists(spec.Inputs, i => i.Kind == InputKind.Picture) ? TorchLayout.Both : TorchLayout.Both[1..];
        foreach (var layout in layouts)
            peers.Add(spec.Name, LibTorch.Family, layouts.Length > 1 ? layout.Name : "", () => Make(spec, layout, Inputs, x => op(x, spec)));
        Tensor[] Inputs(TorchLayout layout) => [.. spec.Inputs.Select((input, i) => Upload(layout, input, i))];
    }

    private static Timed Make(OpSpec spec, TorchLayout layout, Func<TorchLayout, Tensor[]> upload, Func<Tensor[], Tensor> op)
    {
        var outer = NewDisposeScope();
        var inputs = upload(layout);
        if (spec.Pass == Pass.Forward)
            return new Timed(() =>
            {
                using var inference = inference_mode();
                using var scope = NewDisposeScope();
                op(inputs);
            }, release: outer.Dispose);

        Tensor[] leaves = [.. spec.Leaves.Select(i => inputs[i].requires_grad_())];
        var y = op(inputs);
        var dy = y.randn_like(requires_grad: false);
        return new Timed(() =>
        {
            using var scope = NewDisposeScope();
            autograd.grad([y], leaves, [dy], retain_graph: true);
        }, release: outer.Dispose);
    }

    private static Tensor Upload(TorchLayout layout, OpInput input, int index)
    {
        long[] shape = [.. input.Shape.Select(d => (long)d)];
        return input.Kind switch
        {
            InputKind.Picture => layout.Picture(Noise.Floats(input, index), shape),
            InputKind.Filter => layout.Filter(Noise.Floats(input, index), shape),
            InputKind.Plain => tensor(Noise.Floats(input, index), shape),
            _ => tensor(Array.ConvertAll(Noise.Integers(input, index), i => (long)i), shape),
        };
    }
}

/// <summary>Attention as LibTorch can do it: captions padded to the longest, and a mask that hides the padding.</summary>
internal static class PaddedAttention
{
    public static Func<TorchLayout, Tensor[]> Inputs(OpSpec spec) => _ =>
    {
        var lengths = Lengths(spec);
        long[] shape = [lengths.Length, lengths.Max(), spec.Inputs[0].Shape[1]];
        return [.. Enumerable.Range(0, 3).Select(i => tensor(Noise.Normal(shape.Aggregate((a, b) => a * b), i), shape)), Mask(lengths)];
    };

    public static Func<Tensor[], Tensor> For(OpSpec spec) => x => Attend(x[0], x[1], x[2], x[3], spec.Args.First);

    /// <summary>q, k, v (B, T, C) → (B, T, C).</summary>
    public static Tensor Attend(Tensor q, Tensor k, Tensor v, Tensor mask, int heads)
    {
        var (b, t, c) = (q.shape[0], q.shape[1], q.shape[2]);
        Tensor Heads(Tensor x) => x.view(b, t, heads, c / heads).transpose(1, 2);
        return nn.functional.scaled_dot_product_attention(Heads(q), Heads(k), Heads(v), mask).transpose(1, 2).reshape(b, t, c);
    }

    /// <summary>(B, 1, T, T): 0 where a key is a token and −∞ where it is padding; F32, so that no call has to convert it.</summary>
    public static Tensor Mask(int[] lengths)
    {
        var t = lengths.Max();
        var mask = new float[(long)lengths.Length * t * t];
        for (var b = 0; b < lengths.Length; b++)
            for (var i = 0; i < t; i++)
                mask.AsSpan((b * t + i) * t + lengths[b], t - lengths[b]).Fill(float.NegativeInfinity);
        return tensor(mask, lengths.Length, 1, t, t);
    }

    private static int[] Lengths(OpSpec spec)
    {
        var offsets = Noise.Integers(spec.Inputs[3], 3);
        return [.. offsets.Zip(offsets.Skip(1), (a, b) => b - a)];
    }
}
