namespace Plip.Engine;

// A new shape over the same memory: free forward, free backward.
public static partial class Ops
{
    /// <summary>The same elements in another shape; one extent may be −1 and is worked out. Shares memory.</summary>
    /// <exception cref="ArgumentException">The element counts differ.</exception>
    public static Tensor Reshape(Tensor x, params int[] dims)
    {
        var hole = Array.IndexOf(dims, -1);
        if (hole >= 0)
        {
            long rest = 1;
            for (var i = 0; i < dims.Length; i++)
                if (i != hole) rest *= dims[i];
            Require.That(rest > 0 && x.Count % rest == 0, $"{x.Shape} cannot become ({string.Join(", ", dims)})");
            dims = [.. dims[..hole], checked((int)(x.Count / rest)), .. dims[(hole + 1)..]];
        }
        var shape = new Shape(dims);
        Require.That(shape.Count == x.Count, $"{x.Shape} holds {x.Count} elements, {shape} would hold {shape.Count}");
        return Tape.Record(x.View(shape), [x], dy => [dy.View(x.Shape)]);
    }
}
