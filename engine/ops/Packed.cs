using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Offsets of packed sequences (DESIGN 3): sequence b is rows at[b] … at[b+1]−1, so at is 0 first, never falls and ends at the number of rows.
//   checked   by the CPU on the spot; on a GPU by a kernel that notes what is wrong and mends it (CudaFaults), for to read them
//             would be to wait for all that was launched, and could not be captured in a graph
// Cost: some 3 µs on a GPU, once a step for each list of offsets: every layer of an encoder is handed the same.
public static partial class Ops
{
    /// <summary>Offsets I32 (sequences + 1) of sequences of one length: 0, length, 2·length, …</summary>
    /// <exception cref="ArgumentException">A number is negative.</exception>
    public static Tensor EvenOffsets(Device device, int sequences, int length)
    {
        Require.That(sequences >= 0 && length >= 0, $"expected a number of sequences and their length, got {sequences} and {length}");
        var at = Tensor.Empty(device, new Shape(sequences + 1), DType.I32);
        device.Run(DType.F32, new EvenOffsetsKernel(at, length));
        return at;
    }
}

/// <summary>The offsets of packed sequences: checking them, and finding a row's sequence.</summary>
internal static unsafe class Packed
{
    private static readonly ConditionalWeakTable<Tensor, Checked> s_checked = [];

    /// <summary>What was found out about offsets in a step.</summary>
    private sealed record Checked(WeakReference<Step> Step, int Rows)
    {
        public int[]? OnHost { get; set; }
    }

    /// <summary>The number of sequences; their offsets are checked: 0 first, never falling, <paramref name="rows"/> last.</summary>
    /// <param name="cuSeqlens">I32 (B+1).</param>
    /// <param name="rows">How many rows there are.</param>
    /// <param name="filled">Whether no sequence may be empty.</param>
    /// <param name="op">Who asks.</param>
    public static int Count(Tensor cuSeqlens, int rows, bool filled = false, [CallerMemberName] string op = "")
    {
        Require.Type(cuSeqlens, DType.I32, op);
        Require.That(cuSeqlens.Shape.Rank == 1 && cuSeqlens.Count > 0, $"expected offsets (B+1,), got {cuSeqlens.Shape}", op);
        var step = cuSeqlens.Device is CpuDevice ? null : cuSeqlens.Device.CurrentStep;
        if (filled || step == null || Known(cuSeqlens, step)?.Rows != rows)
        {
            cuSeqlens.Device.Run(DType.F32, new OffsetsCheck(cuSeqlens, rows, filled, op));
            if (step != null) s_checked.AddOrUpdate(cuSeqlens, new(new(step), rows));
        }
        return (int)cuSeqlens.Count - 1;
    }

    /// <summary>That a sequence with queries has keys, where both offsets were checked already.</summary>
    public static void RequireKeys(Tensor cuQuery, Tensor cuKey, [CallerMemberName] string op = "") =>
        cuQuery.Device.Run(DType.F32, new KeysCheck(cuQuery, cuKey, op));

    /// <summary>
    /// The offsets on the host, for the work that a profile reports: on a GPU this waits, once a step.
    /// </summary>
    public static ReadOnlySpan<int> OnHost(Tensor cuSeqlens)
    {
        if (cuSeqlens.Device is CpuDevice) return new(cuSeqlens.I32, (int)cuSeqlens.Count);
        var known = cuSeqlens.Device.CurrentStep is { } step ? Known(cuSeqlens, step) : null;
        if (known == null) return cuSeqlens.ToArray<int>();
        return known.OnHost ??= cuSeqlens.ToArray<int>();
    }

    /// <summary>The sequence that row t is of: the last that starts at or before t, so that empty ones before it are passed over.</summary>
    public static int SequenceOf(int* at, int count, long t)
    {
        int low = 0, high = count - 1;
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (at[middle] <= t) low = middle;
            else high = middle - 1;
        }
        return low;
    }

    private static Checked? Known(Tensor cuSeqlens, Step step) =>
        s_checked.TryGetValue(cuSeqlens, out var known) && known.Step.TryGetTarget(out var then) && then == step ? known : null;
}

file readonly unsafe struct OffsetsCheck(Tensor offsets, int rows, bool filled, string op) : IKernel
{
    public Work Work => Work.On("check_offsets", 0, offsets);

    public void Run(CudaDevice gpu, DType type) => gpu.Launch(
        "faults", "check_offsets", [], Launch.BlockPerRow(1), offsets, gpu.Faults.Record, (int)offsets.Count, rows, filled ? 1 : 0, gpu.Faults.Of(op));

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var at = offsets.I32;
        var last = (int)offsets.Count - 1;
        if (at[0] != 0) throw new IndexFault(IndexFaultKind.FirstOffset, op, 0, at[0]).Exception();
        for (var b = 1; b <= last; b++)
            if (at[b] < at[b - 1]) throw new IndexFault(IndexFaultKind.FallingOffset, op, b, at[b], Other: at[b - 1]).Exception();
        if (at[last] != rows) throw new IndexFault(IndexFaultKind.LastOffset, op, last, at[last], rows).Exception();
        for (var b = 0; filled && b < last; b++)
            if (at[b] == at[b + 1]) throw new IndexFault(IndexFaultKind.EmptySequence, op, b, at[b]).Exception();
    }
}

file readonly unsafe struct KeysCheck(Tensor queries, Tensor keys, string op) : IKernel
{
    public Work Work => Work.On("check_keys", 0, queries, keys);

    public void Run(CudaDevice gpu, DType type) => gpu.Launch(
        "faults", "check_keys", [], Launch.BlockPerRow(1), gpu.Faults.Record, queries, keys, (int)queries.Count, gpu.Faults.Of(op));

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        int* q = queries.I32, k = keys.I32;
        for (var b = 0; b + 1 < queries.Count; b++)
            if (k[b] == k[b + 1] && q[b] != q[b + 1]) throw new IndexFault(IndexFaultKind.NoKeys, op, b).Exception();
    }
}

file readonly unsafe struct EvenOffsetsKernel(Tensor at, int length) : IKernel
{
    public Work Work => Work.On("even_offsets", 1, at);

    public void Run(CudaDevice gpu, DType type) => gpu.Launch(
        "sequences", "even_offsets", [("TYPE", DType.F32), ("OTHER", DType.F32), ("PACK", 4)], Launch.PerElement(at.Count), at, (int)at.Count, length);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        for (var b = 0; b < at.Count; b++) at.I32[b] = b * length;
    }
}
