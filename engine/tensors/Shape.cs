using System.Globalization;

namespace Plip.Engine;

/// <summary>The extents of a tensor, outermost first. Contiguous row-major is the only layout (DESIGN 3), so there are no strides.</summary>
public readonly struct Shape : IEquatable<Shape>
{
    private readonly int[]? _dims;

    /// <summary>A shape from its extents; none at all is a scalar.</summary>
    /// <exception cref="ArgumentException">An extent is negative.</exception>
    public Shape(params int[] dims)
    {
        foreach (var d in dims)
            if (d < 0) throw new ArgumentException($"a shape's extents must be 0 or more, got ({string.Join(", ", dims)})");
        _dims = dims;
    }

    private int[] Dims => _dims ?? [];

    /// <summary>Number of axes; 0 for a scalar.</summary>
    public int Rank => Dims.Length;

    /// <summary>Number of elements (1 for a scalar).</summary>
    public long Count
    {
        get
        {
            long n = 1;
            foreach (var d in Dims) n *= d;
            return n;
        }
    }

    /// <summary>The extent of an axis; negative axes count from the last, as in NumPy.</summary>
    public int this[int axis] => Dims[axis < 0 ? Rank + axis : axis];

    /// <summary>The last extent, 1 for a scalar: the row length of row-wise ops.</summary>
    public int Cols => Rank == 0 ? 1 : Dims[^1];

    /// <summary>Number of rows when all axes but the last are flattened.</summary>
    public long Rows => Cols == 0 ? 0 : Count / Cols;

    /// <summary>A copy of the extents.</summary>
    public int[] ToArray() => (int[])Dims.Clone();

    /// <summary>The same shape with the last axis replaced.</summary>
    public Shape WithCols(int cols)
    {
        var d = ToArray();
        d[^1] = cols;
        return new Shape(d);
    }

    /// <summary>The same shape without the last axis.</summary>
    public Shape WithoutCols() => new(Dims[..^1]);

    /// <inheritdoc/>
    public bool Equals(Shape other) => Dims.AsSpan().SequenceEqual(other.Dims);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Shape s && Equals(s);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var h = new HashCode();
        foreach (var d in Dims) h.Add(d);
        return h.ToHashCode();
    }

    /// <summary>As NumPy prints it: (2, 3), (5,), ().</summary>
    public override string ToString() => Rank == 1
        ? string.Create(CultureInfo.InvariantCulture, $"({Dims[0]},)")
        : "(" + string.Join(", ", Dims) + ")";

    /// <summary>Equality by extents.</summary>
    public static bool operator ==(Shape a, Shape b) => a.Equals(b);

    /// <summary>Inequality by extents.</summary>
    public static bool operator !=(Shape a, Shape b) => !a.Equals(b);
}
