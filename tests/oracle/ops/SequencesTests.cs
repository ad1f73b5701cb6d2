using Plip.Engine;
using TorchSharp;
using Xunit;
using static TorchSharp.torch.nn;

namespace Plip.Oracle;

/// <summary>Ops over packed sequences, against LibTorch run on each sequence alone.</summary>
public class SequencesTests
{
    [Theory]
    [Trait("op", nameof(Ops.Embedding)), Trait("op", nameof(Ops.GatherRows))]
    [InlineData(1, 1, 1)]
    [InlineData(11, 7, 40)] // every row repeats
    [InlineData(300, 65, 50)]
    public void Rows_by_number(int rows, int cols, int count)
    {
        var random = new Philox(3, 3);
        var ids = Enumerable.Range(0, count).Select(i => random.Next((ulong)i, rows)).ToArray();
        (float[], int[])[] x = [Torch.Input(1, rows, cols)];
        Torch.Same(t => Ops.Embedding(t[0], Torch.Ids(t[0], ids)), t => t[0].index_select(0, Torch.Ids(ids)), x, 0, 1e-6);
        Torch.Same(t => Ops.GatherRows(t[0], Torch.Ids(t[0], ids)), t => t[0].index_select(0, Torch.Ids(ids)), x, 0, 1e-6);
    }

    [Theory]
    [Trait("op", nameof(Ops.EvenOffsets))]
    [InlineData(0, 7)]
    [InlineData(5, 0)]
    [InlineData(33, 50)]
    public void Offsets_of_equal_sequences(int sequences, int length)
    {
        using var device = new CpuDevice();
        using var step = device.BeginStep();
        var expected = torch.arange(sequences + 1, torch.int32) * length;
        Assert.Equal(expected.data<int>().ToArray(), Ops.EvenOffsets(device, sequences, length).ToArray<int>());
    }

    [Theory]
    [Trait("op", nameof(Ops.SegmentMean)), Trait("op", nameof(Ops.AddPerSequence))]
    [InlineData(19, 0, 1)]
    [InlineData(33, 0, 3, 4, 30)]
    [InlineData(5, 0, 64, 128, 129, 150)]
    public void Mean_of_and_vector_for_each_sequence(int cols, params int[] offsets)
    {
        var (sequences, tokens) = (offsets.Length - 1, offsets[^1]);
        Torch.Same(
            t => Ops.SegmentMean(t[0], Torch.Ids(t[0], offsets)),
            t => torch.stack([.. Cut(t[0], offsets).Select(x => x.mean([0]))]), [Torch.Input(1, tokens, cols)], 2e-6, 1e-6);
        Torch.Same(
            t => Ops.AddPerSequence(t[0], t[1], Torch.Ids(t[0], offsets)),
            t => torch.cat([.. Cut(t[0], offsets).Select((x, b) => x + t[1][b])]), [Torch.Input(1, tokens, cols), Torch.Input(2, sequences, cols)], 2e-7, 2e-6);
    }

    [Theory]
    [Trait("op", nameof(Ops.Attention))]
    [InlineData(4, 8, 1f, 0, 1)]
    [InlineData(3, 5, 1f, 0, 3, 15, 16, 24)]
    [InlineData(2, 64, 1f, 0, 64, 65, 100, 133)]
    [InlineData(2, 16, 8f, 0, 17, 50)] // nearly certain attention
    public void Attention(int heads, int depth, float sharpness, params int[] offsets)
    {
        int[] shape = [offsets[^1], heads * depth];
        Torch.Same(
            t => Ops.Attention(t[0], t[1], t[2], Torch.Ids(t[0], offsets), heads),
            t => Attend(t[0], t[1], t[2], offsets, offsets, heads),
            [(Torch.Normal(shape[0] * shape[1], 1, sharpness), shape), Torch.Input(2, shape), Torch.Input(3, shape)], 1e-5, 1e-4);
    }

    [Fact]
    [Trait("op", nameof(Ops.Attention))]
    public void Attention_of_other_queries()
    {
        int[] queries = [0, 1, 2, 7], keys = [0, 9, 10, 43];
        Torch.Same(
            t => Ops.Attention(t[0], t[1], t[2], Torch.Ids(t[0], queries), Torch.Ids(t[0], keys), 3),
            t => Attend(t[0], t[1], t[2], queries, keys, 3),
            [Torch.Input(1, 7, 36), Torch.Input(2, 43, 36), Torch.Input(3, 43, 36)], 1e-5, 1e-4);
    }

    [Fact]
    [Trait("op", nameof(Ops.Attention))]
    public void Attention_is_padded_attention_under_a_mask_of_lengths()
    {
        int[] offsets = [0, 5, 6, 13];
        const int Heads = 2, Width = 24, Longest = 7;
        Torch.Same(
            t => Ops.Attention(t[0], t[1], t[2], Torch.Ids(t[0], offsets), Heads, 0.4f),
            t =>
            {
                // As programs on LibTorch do it: pad with rubbish, mask the keys by length, drop the padding's rows.
                torch.Tensor Padded(torch.Tensor x) => torch.stack([.. Cut(x, offsets).Select(s => torch.cat([s, torch.full(Longest - s.shape[0], Width, 9.0, torch.float64)]))])
                    .view(3, Longest, Heads, Width / Heads).transpose(1, 2);
                var mask = torch.arange(Longest).unsqueeze(0).lt(Torch.Ids(5, 1, 7).unsqueeze(1)).view(3, 1, 1, Longest);
                // LibTorch's own scale is 1/√12.
                var o = functional.scaled_dot_product_attention(Padded(t[0]) * (0.4f * Math.Sqrt(Width / Heads)), Padded(t[1]), Padded(t[2]), mask);
                o = o.transpose(1, 2).reshape(3, Longest, Width);
                return torch.cat([o[0][..5], o[1][..1], o[2][..7]]);
            },
            [Torch.Input(1, 13, Width), Torch.Input(2, 13, Width), Torch.Input(3, 13, Width)], 1e-5, 1e-4);
    }

    /// <summary>Multi-head attention by LibTorch, sequence by sequence.</summary>
    internal static torch.Tensor Attend(torch.Tensor q, torch.Tensor k, torch.Tensor v, int[] queries, int[] keys, int heads)
    {
        torch.Tensor Heads(torch.Tensor x) => x.view(x.shape[0], heads, x.shape[1] / heads).transpose(0, 1).unsqueeze(0);
        var (qs, ks, vs) = (Cut(q, queries), Cut(k, keys), Cut(v, keys));
        return torch.cat([.. qs.Select((_, b) =>
            functional.scaled_dot_product_attention(Heads(qs[b]), Heads(ks[b]), Heads(vs[b])).squeeze(0).transpose(0, 1).reshape(-1, q.shape[1]))]);
    }

    /// <summary>The sequences of packed rows.</summary>
    internal static torch.Tensor[] Cut(torch.Tensor x, int[] offsets) =>
        [.. Enumerable.Range(0, offsets.Length - 1).Select(b => x[offsets[b]..offsets[b + 1]])];
}
