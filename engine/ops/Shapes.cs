using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Joining tensors along an axis and cutting a piece out; each is the other's gradient.
//   Concat  y = [x₀ | x₁ | …]             dx_k = Slice(dy, its place), all in one pass
//   Slice   y = x[start … start+length)   dx = 0 with dy in its place
//   saved   nothing
// Cost: one copy of what moves, past the caches where it is large, in runs of length·(extents behind the axis); the gradient of a slice is written once, zeros
// included. A slice along the outermost axis (or behind axes of extent 1) is a view and costs nothing. Any element type: bytes
// move, whatever they mean; only the float ones carry gradients.
public static partial class Ops
{
    /// <summary>Tensors of one type joined along an axis; all other extents are equal. Negative axes count from the last.</summary>
    /// <exception cref="ArgumentException">No tensor, no such axis, or types or extents differ.</exception>
    public static Tensor Concat(IReadOnlyList<Tensor> tensors, int axis)
    {
        Require.That(tensors.Count > 0, "expected at least one tensor");
        var first = tensors[0];
        axis = Axes.Axis(first.Shape, axis);
        var dims = first.Shape.ToArray();
        for (var k = 1; k < tensors.Count; k++)
        {
            Require.Type(tensors[k], first.DType);
            var other = tensors[k].Shape;
            var fits = other.Rank == dims.Length;
            for (var a = 0; fits && a < dims.Length; a++) fits = a == axis || other[a] == first.Shape[a];
            Require.That(fits, $"tensor {k} of shape {other} does not continue {first.Shape} along axis {axis}");
            dims[axis] = checked(dims[axis] + other[axis]);
        }
        var y = Tensor.Empty(first.Device, new Shape(dims), first.DType);
        Tensor[] inputs = [.. tensors];
        var end = 0;
        foreach (var x in inputs)
        {
            y.Device.Run(DType.F32, new CopyKernel("concat", y, x, axis, x.Shape[axis], from: 0, to: end));
            end += x.Shape[axis];
        }
        return Tape.Record(y, inputs, dy =>
        {
            var gradients = new Tensor?[inputs.Length];
            if (Axes.Around(dy.Shape, axis).Outer > 1)
            {
                for (var k = 0; k < inputs.Length; k++)
                    if (inputs[k].NeedsGrad) gradients[k] = Tensor.Like(inputs[k]);
                dy.Device.Run(DType.F32, new SplitKernel(gradients, inputs, dy, axis));
                return gradients;
            }
            var at = 0;
            for (var k = 0; k < inputs.Length; at += inputs[k++].Shape[axis])
                if (inputs[k].NeedsGrad) gradients[k] = Slice(dy, axis, at, inputs[k].Shape[axis]);
            return gradients;
        });
    }

    /// <summary>Places start … start+length−1 of an axis; the other axes whole. Negative axes count from the last. May share memory with x.</summary>
    /// <exception cref="ArgumentException">No such axis, or the piece leaves it.</exception>
    public static Tensor Slice(Tensor x, int axis, int start, int length)
    {
        axis = Axes.Axis(x.Shape, axis);
        var extent = x.Shape[axis];
        Require.That(start >= 0 && length >= 0 && start <= extent - length, $"{length} from {start} leave axis {axis} of {x.Shape}");
        var dims = x.Shape.ToArray();
        dims[axis] = length;
        var shape = new Shape(dims);
        var (outer, inner) = Axes.Around(x.Shape, axis);
        Tensor y;
        if (outer == 1) y = x.View(shape, start * inner * x.DType.Size());
        else
        {
            y = Tensor.Empty(x.Device, shape, x.DType);
            y.Device.Run(DType.F32, new CopyKernel("slice_forward", y, x, axis, length, from: start, to: 0));
        }
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(DType.F32, new PlaceKernel(dx, dy, axis, start));
            return [dx];
        });
    }
}

file static class Axes
{
    public static int Axis(Shape shape, int axis, [CallerMemberName] string op = "")
    {
        Require.That(axis >= -shape.Rank && axis < shape.Rank, $"shape {shape} has no axis {axis}", op);
        return axis < 0 ? axis + shape.Rank : axis;
    }

    /// <summary>Elements before and behind an axis: the tensor is (outer, extent, inner).</summary>
    public static (long Outer, long Inner) Around(Shape shape, int axis)
    {
        long outer = 1, inner = 1;
        for (var a = 0; a < axis; a++) outer *= shape[a];
        for (var a = axis + 1; a < shape.Rank; a++) inner *= shape[a];
        return (outer, inner);
    }
}

/// <summary>Copies <paramref name="length"/> places of an axis, from place <paramref name="from"/> of x to place <paramref name="to"/> of y.</summary>
file readonly unsafe struct CopyKernel(string name, Tensor y, Tensor x, int axis, int length, int from, int to) : IKernel
{
    private const int BytesPerTask = CpuDevice.Grain * sizeof(float);

    public Work Work
    {
        get
        {
            var (outer, inner) = Axes.Around(x.Shape, axis);
            return new(name, 2 * outer * length * inner * x.DType.Size(), 0);
        }
    }

    public void Run(CudaDevice gpu, DType type) => CudaRuns.Copy(gpu, y, x, axis, length, from, to);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var (outer, inner) = Axes.Around(x.Shape, axis);
        var unit = inner * x.DType.Size();
        long run = length * unit, strideX = x.Shape[axis] * unit, strideY = y.Shape[axis] * unit;
        byte* source = (byte*)x.Address + from * unit, target = (byte*)y.Address + to * unit;
        var streams = Runs.Stream(target, y.Bytes, run, strideY);
        if (run <= BytesPerTask)
            cpu.ForRange(outer, BytesPerTask / Math.Max(1, run), (begin, end) =>
                Runs.Copy<V>(target + begin * strideY, strideY, source + begin * strideX, strideX, run, end - begin, streams));
        else
            for (var o = 0L; o < outer; o++, source += strideX, target += strideY)
            {
                byte* s = source, t = target;
                cpu.ForRange(run, BytesPerTask, (begin, end) => Runs.Copy<V>(t + begin, 0, s + begin, 0, end - begin, 1, streams));
            }
    }
}

/// <summary>The gradients of what was joined: dy is read once, in its order.</summary>
/// <param name="pieces">Where each input's goes; null for none.</param>
file readonly unsafe struct SplitKernel(Tensor?[] pieces, Tensor[] inputs, Tensor dy, int axis) : IKernel
{
    private const int BytesPerTask = 4 * CpuDevice.Grain * sizeof(float);

    public Work Work
    {
        get
        {
            var bytes = 0L;
            foreach (var piece in pieces) bytes += 2 * (piece?.Bytes ?? 0);
            return new("split", bytes, 0);
        }
    }

    public void Run(CudaDevice gpu, DType type)
    {
        var at = 0;
        for (var k = 0; k < pieces.Length; at += inputs[k++].Shape[axis])
            if (pieces[k] is { } piece) CudaRuns.Copy(gpu, piece, dy, axis, piece.Shape[axis], at, 0);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var (outer, inner) = Axes.Around(dy.Shape, axis);
        var unit = inner * dy.DType.Size();
        var record = dy.Shape[axis] * unit;
        var (to, from, along) = (pieces, inputs, axis);
        var source = (byte*)dy.Address;
        cpu.ForRange(outer, Math.Max(1, BytesPerTask / Math.Max(1, record)), (begin, end) =>
        {
            // A few records at a time, so that each is read while it lies in L1 or its page is open.
            const int Few = 4;
            for (; begin < end; begin += Few)
            {
                var at = source + begin * record;
                var count = Math.Min(Few, end - begin);
                for (var k = 0; k < to.Length; k++)
                {
                    var run = from[k].Shape[along] * unit;
                    if (to[k] is { } piece)
                    {
                        var target = (byte*)piece.Address;
                        Runs.Copy<V>(target + begin * run, run, at, record, run, count, Runs.Stream(target, piece.Bytes, run, run));
                    }
                    at += run;
                }
            }
        });
    }
}

/// <summary>Copies of bytes in runs on a GPU.</summary>
file static class CudaRuns
{
    /// <summary>Copies <paramref name="length"/> places of an axis, from place <paramref name="from"/> of x to place <paramref name="to"/> of y.</summary>
    public static void Copy(CudaDevice gpu, Tensor y, Tensor x, int axis, int length, int from, int to)
    {
        var (outer, inner) = Axes.Around(x.Shape, axis);
        var unit = inner * x.DType.Size();
        long run = length * unit, strideX = x.Shape[axis] * unit, strideY = y.Shape[axis] * unit, first = from * unit, target = to * unit;
        var word = Word(run | strideX | strideY | first | target | x.Address | y.Address);
        var count = outer * (run / word);
        gpu.Launch(
            "shapes", "copy_runs", [("TYPE", x.DType), ("WORD", word)], Launch.PerElement(count),
            y, x, count, run / word, strideY / word, strideX / word, target / word, first / word);
    }

    /// <summary>The widest word, at most 16 bytes, that divides all that were or-ed together.</summary>
    public static int Word(long lengths) => (int)Math.Min(16, (lengths | 16) & -(lengths | 16));
}

/// <summary>Copies of bytes in runs.</summary>
file static unsafe class Runs
{
    /// <summary>Whether runs into a tensor of so many bytes go past the caches.</summary>
    public static bool Stream(byte* target, long bytes, long run, long stride) =>
        run % Streams.Line == 0 && stride % Streams.Line == 0 && Streams.Suits(target, bytes);

    public static void Copy<V>(byte* to, long strideTo, byte* from, long strideFrom, long run, long count, bool stream) where V : struct, IVector<V>
    {
        for (; count > 0; count--, to += strideTo, from += strideFrom)
            if (stream) Loop.Run<V, Past>(new((float*)to, (float*)from), 0, run / sizeof(float));
            else Buffer.MemoryCopy(from, to, run, run);
    }

    /// <summary>Bits, whatever they mean, past the caches.</summary>
    private readonly struct Past(float* to, float* from) : ILoop
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => V.Load(from + i).StoreStream(to + i);
    }
}

/// <summary>dx = 0 with dy from place <paramref name="start"/> of an axis on.</summary>
file readonly unsafe struct PlaceKernel(Tensor dx, Tensor dy, int axis, int start) : IKernel
{
    private const int BytesPerTask = CpuDevice.Grain * sizeof(float);

    public Work Work => Work.On("slice_backward", 0, dx, dy);

    public void Run(CudaDevice gpu, DType type)
    {
        var unit = Axes.Around(dx.Shape, axis).Inner * dx.DType.Size();
        long first = start * unit, run = dy.Shape[axis] * unit, record = dx.Shape[axis] * unit;
        var word = CudaRuns.Word(first | run | record | dx.Address | dy.Address);
        var count = dx.Bytes / word;
        gpu.Launch(
            "shapes", "place_runs", [("TYPE", dx.DType), ("WORD", word)], Launch.PerElement(count),
            dx, dy, count, record / word, run / word, first / word);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var (outer, inner) = Axes.Around(dx.Shape, axis);
        var unit = inner * dx.DType.Size();
        long first = start * unit, run = dy.Shape[axis] * unit, record = dx.Shape[axis] * unit;
        byte* target = (byte*)dx.Address, source = (byte*)dy.Address;
        if (record <= BytesPerTask)
            cpu.ForRange(outer, BytesPerTask / Math.Max(1, record), (begin, end) =>
            {
                for (var o = begin; o < end; o++) Part(target + o * record, source + o * run, first, run, 0, record);
            });
        else
            for (var o = 0L; o < outer; o++, target += record, source += run)
            {
                byte* t = target, s = source;
                cpu.ForRange(record, BytesPerTask, (begin, end) => Part(t, s, first, run, begin, end));
            }
    }

    /// <summary>Bytes begin … end−1 of a record that is zero but for <paramref name="run"/> bytes from <paramref name="first"/> on.</summary>
    private static void Part(byte* target, byte* source, long first, long run, long begin, long end)
    {
        var (from, to) = (Math.Clamp(first, begin, end), Math.Clamp(first + run, begin, end));
        new Span<byte>(target + begin, (int)(from - begin)).Clear();
        new ReadOnlySpan<byte>(source + (from - first), (int)(to - from)).CopyTo(new Span<byte>(target + from, (int)(to - from)));
        new Span<byte>(target + to, (int)(end - to)).Clear();
    }
}
