namespace Plip.Engine;

// Multi-head attention within windows of maps, with a bias for each distance.   Liu et al., Swin, arXiv:2103.14030
//   forward   S_ij = s·q_i·k_j + B[y_i − y_j, x_i − x_j] + M_ij,  P = softmax_rows S,  O = P·V    for each window and head; s = 1/√D
//             M is −100 where a roll has brought i and j together from different ends of the map, else 0, as in torchvision
//   backward  as Attention's: dS = P⊙(dO·Vᵀ − Σ_j P⊙dO·Vᵀ); dQ = s·dS·K; dK = s·dSᵀ·Q; dV = Pᵀ·dO;  dB[distance] = Σ dS over all its pairs
//   saved     q, k, v in one tensor, y, and the log-sum-exp of each row of S
//   windows   padding, roll and cut are arithmetic on the way in and out (WindowMap): no tensor is moved for them. Tokens that only pad take
//             part as keys and values, of what the layer before makes of zeros, which is its bias; nobody reads what they would get as queries
//   order     a table's gradient is summed in F32 over fixed blocks of windows, then over the blocks in order
// Cost: q, k, v read once, y written once; 4·L²·D flops a window and head forward, 10 backward. On a GPU by the plain units, in F32
// whatever is stored (kernels/window_attention.cu).
public static partial class Ops
{
    /// <summary>
    /// Self-attention within windows: qkv (N, H, W, 3C), of each token its query, key and value → (N, H, W, C). F32, BF16 or F16.
    /// </summary>
    /// <param name="qkv">What one linear layer makes of the tokens; head h is columns h·C/heads and on of each third.</param>
    /// <param name="padding">F32 (3C): that layer's bias, which is what it would make of the zeros that fill windows at the border; null for none.</param>
    /// <param name="table">F32 ((2·window − 1)², heads): the bias of each distance, vertical first, from −(window − 1) on, query less key.</param>
    /// <param name="heads">Number of heads; divides C.</param>
    /// <param name="window">Rows and columns of a window.</param>
    /// <param name="shift">Rows and columns by which windows are moved, 0 to window − 1; 0 along an axis that one window covers.</param>
    /// <exception cref="ArgumentException">Shapes, heads or the shift do not fit.</exception>
    public static Tensor WindowAttention(Tensor qkv, Tensor? padding, Tensor table, int heads, int window, int shift = 0)
    {
        Require.Rank(qkv, 4, "queries, keys and values (N, H, W, 3C)");
        Require.That(heads > 0 && qkv.Cols > 0 && qkv.Cols % (3 * heads) == 0, $"{heads} heads do not divide three parts of {qkv.Shape}");
        Require.That(window > 0 && shift >= 0 && shift < window, $"expected a window of 1 or more and a shift from 0 to below it, got {window} and {shift}");
        Require.Type(table, DType.F32);
        var map = new WindowMap(qkv.Shape[0], qkv.Shape[1], qkv.Shape[2], window, shift);
        Require.That(table.Shape == new Shape(map.Distances, heads), $"expected a table ({map.Distances}, {heads}), got {table.Shape}");
        if (padding != null)
        {
            Require.Type(padding, DType.F32);
            Require.LastDim(qkv, padding);
        }
        var x = new WindowInputs(qkv, padding, table, heads, map);
        var y = Tensor.Empty(qkv.Device, new Shape(map.Images, map.Height, map.Width, qkv.Cols / 3), qkv.DType);
        var lse = Tensor.Empty(qkv.Device, new Shape(heads, qkv.Rows));
        y.Device.Run(y.DType, new WindowAttentionForward(y, lse, x));
        return Tape.Record(y, padding == null ? [qkv, table] : [qkv, table, padding], dy =>
        {
            var dqkv = qkv.NeedsGrad ? Tensor.Like(qkv) : null;
            var dtable = table.NeedsGrad ? Tensor.Like(table) : null;
            var dpadding = padding is { NeedsGrad: true } ? Tensor.Like(padding) : null;
            dy.Device.Run(dy.DType, new WindowAttentionBackward(dqkv, dtable, dpadding, dy, y, lse, x));
            return padding == null ? [dqkv, dtable] : [dqkv, dtable, dpadding];
        }, [lse]);
    }
}

/// <summary>What attention in windows takes.</summary>
internal readonly record struct WindowInputs(Tensor Qkv, Tensor? Padding, Tensor Table, int Heads, WindowMap Map)
{
    /// <summary>C.</summary>
    public int Channels => Qkv.Cols / 3;

    /// <summary>Columns of a head.</summary>
    public int Width => Channels / Heads;

    /// <summary>Factor on the scores.</summary>
    public float Scale => 1f / MathF.Sqrt(Width);

    /// <summary>C times the pairs of a token and one of its window.</summary>
    public double Products => (double)Qkv.Rows * Channels * Map.Tokens;
}

file readonly unsafe struct WindowAttentionForward(Tensor y, Tensor lse, WindowInputs x) : IKernel
{
    public Work Work => new("window_attention_forward", y.Bytes + x.Qkv.Bytes + lse.Bytes, 4 * x.Products);

    public void Run(CudaDevice gpu, DType type) => CudaWindows.Forward(gpu, type, y, lse, x);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* py = y.At<T>(), px = x.Qkv.At<T>();
        var pl = lse.F32;
        var inputs = x;
        using var shared = cpu.Scratch(WindowPlan.Floats<V>(x));
        var plan = WindowPlan.Of<V>(cpu, shared.At, x);
        cpu.For(x.Map.Count * x.Heads, task =>
        {
            var (window, head) = Math.DivRem(task, inputs.Heads);
            WindowLoops.Forward<V, T>(py, pl, px, plan, inputs, window, head);
        });
    }
}

file readonly unsafe struct WindowAttentionBackward(Tensor? dqkv, Tensor? dtable, Tensor? dpadding, Tensor dy, Tensor y, Tensor lse, WindowInputs x) : IKernel
{
    private const int PerTask = 8; // windows whose part of a table's gradient is summed at once

    public Work Work => new("window_attention_backward", 2 * x.Qkv.Bytes + dy.Bytes + y.Bytes + lse.Bytes, 10 * x.Products);

    public void Run(CudaDevice gpu, DType type) => CudaWindows.Backward(gpu, type, dqkv, dtable, dpadding, dy, y, lse, x);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* to = dqkv == null ? null : dqkv.At<T>(), pdy = dy.At<T>(), px = x.Qkv.At<T>();
        var pl = lse.F32;
        var inputs = x;
        int heads = x.Heads, blocks = (x.Map.Count + PerTask - 1) / PerTask;
        var ofTable = (long)x.Map.Distances * heads;
        var stride = ofTable + x.Qkv.Cols; // of a block: the table's gradient, then the padding's
        using var partial = cpu.Scratch(blocks * stride);
        using var shared = cpu.Scratch(WindowPlan.Floats<V>(x));
        var sums = partial.At;
        var plan = WindowPlan.Of<V>(cpu, shared.At, x);
        cpu.For(blocks * heads, task =>
        {
            var (block, head) = Math.DivRem(task, heads);
            var mine = sums + block * stride;
            WindowLoops.Backward<V, T>(
                to, mine, mine + ofTable, pdy, pl, px, plan, inputs, block * PerTask, Math.Min(inputs.Map.Count, (block + 1) * PerTask), head);
        });
        if (dtable != null) cpu.AddRows<V>(dtable.F32, sums, stride, blocks, (int)ofTable);
        if (dpadding != null) cpu.AddRows<V>(dpadding.F32, sums + ofTable, stride, blocks, x.Qkv.Cols);
    }
}

/// <summary>Attention in windows on a GPU: kernels/window_attention.cu.</summary>
file static class CudaWindows
{
    private const string File = "window_attention";
    private const int PerBlock = 8; // windows that a block of the backward takes, so that its sums over them stay in registers

    public static void Forward(CudaDevice gpu, DType type, Tensor y, Tensor lse, in WindowInputs x)
    {
        var (map, tiles) = (x.Map, new Tiles(x));
        gpu.Launch(
            File, "window_attention_forward", [("TYPE", type), ("HEAD", x.Width), ("SIDE", map.Side), ("PACK", Pack.Of(type, x.Width, x.Qkv, y))],
            Launch.Grid(map.Count, x.Heads).Of(tiles.Threads).Shared(tiles.ForwardBytes),
            y, lse, x.Qkv, x.Padding, x.Table, x.Qkv.Rows, x.Heads, map.Height, map.Width, map.ShiftDown, map.ShiftAcross, x.Scale);
    }

    public static void Backward(CudaDevice gpu, DType type, Tensor? dqkv, Tensor? dtable, Tensor? dpadding, Tensor dy, Tensor y, Tensor lse, in WindowInputs x)
    {
        var (map, tiles) = (x.Map, new Tiles(x));
        var blocks = Launch.Blocks(map.Count, PerBlock);
        using var ofTable = gpu.Scratch((long)blocks * x.Table.Count);
        using var ofPadding = gpu.Scratch((long)blocks * x.Qkv.Cols);
        gpu.Launch(
            File, "window_attention_backward", [("TYPE", type), ("HEAD", x.Width), ("SIDE", map.Side), ("PACK", Pack.Of(type, x.Width, x.Qkv, y, dy, dqkv))],
            Launch.Grid(blocks, x.Heads).Of(tiles.Threads).Shared(tiles.BackwardBytes),
            dqkv, ofTable, ofPadding, dy, y, lse, x.Qkv, x.Padding, x.Table, map.Count, PerBlock, x.Qkv.Rows, x.Heads, map.Height, map.Width,
            map.ShiftDown, map.ShiftAcross, x.Scale);
        if (dtable != null) RowBlocks.Add(gpu, dtable, ofTable, blocks);
        if (dpadding != null) RowBlocks.Add(gpu, dpadding, ofPadding, blocks);
    }

    /// <summary>Threads of a block, one a token, and its shared memory; as in the kernels.</summary>
    private readonly struct Tiles(in WindowInputs x)
    {
        private readonly int _tokens = x.Map.Tokens, _distances = x.Map.Distances, _stride = (x.Width + 15) / 16 * 16 + 4;

        public int Threads => (_tokens + 31) / 32 * 32;

        /// <summary>Keys, values and biases.</summary>
        public int ForwardBytes => (2 * _tokens * _stride + _distances) * sizeof(float);

        /// <summary>Queries, keys, values, gradients; P and dS; biases.</summary>
        public int BackwardBytes => (4 * _tokens * _stride + 2 * _tokens * (_tokens | 1) + _distances) * sizeof(float);
    }
}
