using System.Runtime.InteropServices;

namespace Plip.Engine;

/// <summary>
/// A tensor of a checkpoint: a shape, a type and a way to read it in pieces, wherever it lies (a mapped file, a device,
/// an array). Elements are little-endian, row-major, in PyTorch's order.
/// </summary>
public abstract class StateTensor(DType dtype, Shape shape)
{
    private const int Chunk = 1 << 16; // elements converted or copied at a time: a piece stays in L2

    /// <summary>Element type.</summary>
    public DType DType { get; } = dtype;

    /// <summary>Extents in PyTorch's order.</summary>
    public Shape Shape { get; } = shape;

    /// <summary>The element type in the file it is read from ("F64" where <see cref="DType"/> is F32), by safetensors' names.</summary>
    public virtual string StoredType => SafeTensorType.Of(DType).Name;

    /// <summary>Bytes it takes there.</summary>
    public virtual long StoredBytes => Shape.Count * DType.Size();

    /// <summary>Copies elements from number <paramref name="first"/> on, as many as <paramref name="to"/> holds.</summary>
    /// <param name="to">Whole elements of <see cref="DType"/>.</param>
    public abstract void Read(long first, Span<byte> to);

    /// <summary>Elements as F32, from number <paramref name="first"/> on; BF16 and F16 widen exactly, integers round.</summary>
    public void ReadF32(long first, Span<float> to)
    {
        if (DType == DType.F32)
        {
            Read(first, MemoryMarshal.AsBytes(to));
            return;
        }
        var raw = new byte[Math.Min(Chunk, to.Length) * DType.Size()];
        for (var done = 0; done < to.Length; done += Chunk)
        {
            var piece = to.Slice(done, Math.Min(Chunk, to.Length - done));
            var bytes = raw.AsSpan(0, piece.Length * DType.Size());
            Read(first + done, bytes);
            Widen(bytes, piece);
        }
    }

    /// <summary>All elements as F32.</summary>
    public float[] ToF32()
    {
        var values = new float[Shape.Count];
        ReadF32(0, values);
        return values;
    }

    /// <summary>All elements as whole numbers; of floating point the part before the point, for who casts a whole state to F32 casts its counters too.</summary>
    public long[] ToI64()
    {
        if (DType.IsFloat()) return Array.ConvertAll(ToF32(), v => (long)v); // saturates, NaN is 0
        var raw = new byte[Shape.Count * DType.Size()];
        Read(0, raw);
        var values = new long[Shape.Count];
        for (var i = 0; i < values.Length; i++)
            values[i] = DType switch
            {
                DType.I64 => MemoryMarshal.Cast<byte, long>(raw)[i],
                DType.I32 => MemoryMarshal.Cast<byte, int>(raw)[i],
                _ => raw[i],
            };
        return values;
    }

    /// <summary>Elements to read at a time; all of them where a read costs the same however little is asked for.</summary>
    private protected virtual long Piece => Chunk;

    /// <summary>Writes all elements, a piece at a time.</summary>
    public void WriteTo(Stream stream)
    {
        var size = DType.Size();
        var raw = new byte[checked((int)(Math.Min(Piece, Shape.Count) * size))];
        for (long done = 0; done < Shape.Count; done += Piece)
        {
            var piece = raw.AsSpan(0, (int)(Math.Min(Piece, Shape.Count - done) * size));
            Read(done, piece);
            stream.Write(piece);
        }
    }

    /// <summary>A tensor over an array, which is not copied.</summary>
    /// <exception cref="ArgumentException">The number of values is not the shape's.</exception>
    public static StateTensor Of(float[] values, Shape shape) => new HostTensor<float>(values, DType.F32, shape);

    /// <summary>A tensor over an array, which is not copied.</summary>
    /// <exception cref="ArgumentException">The number of values is not the shape's.</exception>
    public static StateTensor Of(long[] values, Shape shape) => new HostTensor<long>(values, DType.I64, shape);

    /// <summary>A tensor over an array, which is not copied.</summary>
    /// <exception cref="ArgumentException">The number of values is not the shape's.</exception>
    public static StateTensor Of(int[] values, Shape shape) => new HostTensor<int>(values, DType.I32, shape);

    /// <summary>A tensor over an array of bytes, which is not copied.</summary>
    /// <exception cref="ArgumentException">The number of values is not the shape's.</exception>
    public static StateTensor Of(byte[] values, Shape shape) => new HostTensor<byte>(values, DType.U8, shape);

    /// <summary>The elements of a device's tensor, read when they are asked for.</summary>
    public static StateTensor Of(Tensor tensor) => new DeviceTensor(tensor, 0, tensor.Shape);

    /// <summary>A part of a flat tensor, read when it is asked for; takes no handle on it, so nothing has to be released.</summary>
    internal static StateTensor Of(Tensor flat, long first, Shape shape) => new DeviceTensor(flat, first, shape);

    private void Widen(ReadOnlySpan<byte> raw, Span<float> to)
    {
        switch (DType)
        {
            case DType.BF16:
                var upper = MemoryMarshal.Cast<byte, ushort>(raw);
                for (var i = 0; i < to.Length; i++) to[i] = BitConverter.UInt32BitsToSingle((uint)upper[i] << 16);
                break;
            case DType.F16:
                var half = MemoryMarshal.Cast<byte, Half>(raw);
                for (var i = 0; i < to.Length; i++) to[i] = (float)half[i];
                break;
            case DType.I32:
                var ints = MemoryMarshal.Cast<byte, int>(raw);
                for (var i = 0; i < to.Length; i++) to[i] = ints[i];
                break;
            case DType.I64:
                var longs = MemoryMarshal.Cast<byte, long>(raw);
                for (var i = 0; i < to.Length; i++) to[i] = longs[i];
                break;
            default:
                for (var i = 0; i < to.Length; i++) to[i] = raw[i];
                break;
        }
    }

    private sealed class HostTensor<T> : StateTensor where T : unmanaged
    {
        private readonly T[] _values;

        public HostTensor(T[] values, DType dtype, Shape shape) : base(dtype, shape)
        {
            if (values.Length != shape.Count)
                throw new ArgumentException($"StateTensor.Of: {values.Length} values for shape {shape}, which holds {shape.Count}");
            _values = values;
        }

        public override void Read(long first, Span<byte> to) =>
            MemoryMarshal.AsBytes(_values.AsSpan((int)first, to.Length / DType.Size())).CopyTo(to);
    }

    private sealed class DeviceTensor(Tensor tensor, long start, Shape shape) : StateTensor(tensor.DType, shape)
    {
        public override void Read(long first, Span<byte> to) =>
            tensor.Device.Download(tensor.Address + (nint)((start + first) * DType.Size()), to);
    }
}
