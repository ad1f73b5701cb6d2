namespace Plip.Engine;

// Joining tensors along an axis and cutting a piece out; each is the other's gradient.
//   Concat  y = [x₀ | x₁ | …]             dx_k = Slice(dy, its place)
//   Slice   y = x[start … start+length)   dx = 0 with dy in its place
//   saved   nothing
// Cost: one copy of what moves, in runs of length·(extents behind the axis). A slice along the outermost axis (or behind
// axes of extent 1) is a view and costs nothing. Any element type; only the float ones carry gradients.
public static partial class Ops
{
    /// <summary>Tensors of one type joined along an axis; all other extents are equal. Negative axes count from the last.</summary>
    /// <exception cref="ArgumentException">No tensor, no such axis, or types or extents differ.</exception>
    public static Tensor Concat(IReadOnlyList<Tensor> tensors, int axis)
    {
        Require.That(tensors.Count > 0, "expected at least one tensor");
        var first = tensors[0];
        axis = ShapesCpu.Axis(first.Shape, axis);
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
        y.Device.Run(cpu: cpu =>
        {
            var at = 0;
            foreach (var x in inputs)
            {
                ShapesCpu.Copy(cpu, x, y, axis, x.Shape[axis], from: 0, to: at);
                at += x.Shape[axis];
            }
        });
        return Tape.Record(y, inputs, dy =>
        {
            var at = 0;
            var gradients = new Tensor?[inputs.Length];
            for (var k = 0; k < inputs.Length; at += inputs[k++].Shape[axis])
                if (inputs[k].NeedsGrad) gradients[k] = Slice(dy, axis, at, inputs[k].Shape[axis]);
            return gradients;
        });
    }

    /// <summary>Places start … start+length−1 of an axis; the other axes whole. Negative axes count from the last. May share memory with x.</summary>
    /// <exception cref="ArgumentException">No such axis, or the piece leaves it.</exception>
    public static Tensor Slice(Tensor x, int axis, int start, int length)
    {
        axis = ShapesCpu.Axis(x.Shape, axis);
        var extent = x.Shape[axis];
        Require.That(start >= 0 && length >= 0 && start <= extent - length, $"{length} from {start} leave axis {axis} of {x.Shape}");
        var dims = x.Shape.ToArray();
        dims[axis] = length;
        var shape = new Shape(dims);
        var (outer, inner) = ShapesCpu.Around(x.Shape, axis);
        Tensor y;
        if (outer == 1) y = x.View(shape, start * inner * x.DType.Size());
        else
        {
            y = Tensor.Empty(x.Device, shape, x.DType);
            y.Device.Run(cpu: cpu => ShapesCpu.Copy(cpu, x, y, axis, length, from: start, to: 0));
        }
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Zeros(x.Device, x.Shape, x.DType);
            dx.Device.Run(cpu: cpu => ShapesCpu.Copy(cpu, dy, dx, axis, length, from: 0, to: start));
            return [dx];
        });
    }
}

file static unsafe class ShapesCpu
{
    public static int Axis(Shape shape, int axis, [System.Runtime.CompilerServices.CallerMemberName] string op = "")
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

    /// <summary>Copies <paramref name="length"/> places of an axis, from place <paramref name="from"/> of x to place <paramref name="to"/> of y.</summary>
    public static void Copy(CpuDevice cpu, Tensor x, Tensor y, int axis, int length, int from, int to)
    {
        var (outer, inner) = Around(x.Shape, axis);
        var unit = inner * x.DType.Size();
        long run = length * unit, strideX = x.Shape[axis] * unit, strideY = y.Shape[axis] * unit;
        byte* source = (byte*)x.Address + from * unit, target = (byte*)y.Address + to * unit;
        if (run == 0) return;
        cpu.ForRange(outer, Math.Max(1, CpuDevice.Grain * sizeof(float) / run), (begin, end) =>
        {
            for (var o = begin; o < end; o++) Buffer.MemoryCopy(source + o * strideX, target + o * strideY, run, run);
        });
    }
}
