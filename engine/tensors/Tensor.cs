using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Plip.Engine;

/// <summary>
/// A contiguous row-major array on a <see cref="Device"/>: a handle with a shape over shared memory. Reshapes are free.
/// Made inside a step it belongs to the step; made outside it lives until <see cref="Release()"/>.
/// </summary>
public sealed partial class Tensor
{
    private readonly Storage _storage;
    private bool _released;

    internal Tensor(Storage storage, long offsetBytes, Shape shape, DType dtype)
    {
        (_storage, OffsetBytes, Shape, DType) = (storage, offsetBytes, shape, dtype);
    }

    internal long OffsetBytes { get; }

    /// <summary>Extents, outermost first.</summary>
    public Shape Shape { get; }

    /// <summary>Element type.</summary>
    public DType DType { get; }

    /// <summary>Where it lives.</summary>
    public Device Device => _storage.Device;

    /// <summary>Number of elements.</summary>
    public long Count => Shape.Count;

    /// <summary>Bytes its elements take.</summary>
    public long Bytes => Count * DType.Size();

    /// <summary>The last extent (1 for a scalar).</summary>
    public int Cols => Shape.Cols;

    /// <summary>Rows when all axes but the last are flattened.</summary>
    public int Rows => checked((int)Shape.Rows);

    /// <summary>True for parameters, for leaves after <see cref="WithGrad"/> and for what was computed from them.</summary>
    public bool NeedsGrad { get; internal set; }

    /// <summary>The gradient of a leaf after <see cref="Backward"/>; null before, and for tensors the tape made.</summary>
    public Tensor? Grad { get; internal set; }

    /// <summary>The tape that recorded it; a leaf has none.</summary>
    internal Tape? RecordedBy { get; set; }

    /// <summary>Whether an op recorded it, so that it is no leaf.</summary>
    internal bool IsRecorded => RecordedBy != null;

    /// <summary>Set by <see cref="Keep"/>.</summary>
    internal bool IsKept { get; private set; }

    /// <summary>Gradient in flight during the backward walk.</summary>
    internal Tensor? PendingGrad { get; set; }

    /// <summary>An uninitialised tensor.</summary>
    public static Tensor Empty(Device device, Shape shape, DType dtype = DType.F32, [CallerMemberName] string madeBy = "") =>
        new(device.Allocate(shape.Count * dtype.Size(), madeBy), 0, shape, dtype);

    /// <summary>A tensor of zeros.</summary>
    public static Tensor Zeros(Device device, Shape shape, DType dtype = DType.F32, [CallerMemberName] string madeBy = "")
    {
        var t = Empty(device, shape, dtype, madeBy);
        device.Clear(t.Address, t.Bytes);
        return t;
    }

    /// <summary>An uninitialised tensor of the same device, shape and type.</summary>
    public static Tensor Like(Tensor x, [CallerMemberName] string madeBy = "") => Empty(x.Device, x.Shape, x.DType, madeBy);

    /// <summary>An uninitialised F32 vector with one element for each row of <paramref name="x"/>: row statistics.</summary>
    public static Tensor PerRow(Tensor x, [CallerMemberName] string madeBy = "") => Empty(x.Device, new Shape(x.Rows), DType.F32, madeBy);

    /// <summary>A tensor with these elements.</summary>
    /// <exception cref="ArgumentException">The number of values is not the shape's.</exception>
    public static Tensor From<T>(Device device, ReadOnlySpan<T> values, Shape shape, [CallerMemberName] string madeBy = "")
        where T : unmanaged
    {
        if (values.Length != shape.Count)
            throw new ArgumentException($"Tensor.From: {values.Length} values for shape {shape}, which holds {shape.Count}");
        var t = Empty(device, shape, TypeOf<T>(), madeBy);
        device.Upload(MemoryMarshal.AsBytes(values), t.Address);
        return t;
    }

    /// <summary>A tensor with these elements.</summary>
    public static Tensor From<T>(Device device, T[] values, Shape shape, [CallerMemberName] string madeBy = "")
        where T : unmanaged => From(device, (ReadOnlySpan<T>)values, shape, madeBy);

    /// <summary>The elements, copied to the host.</summary>
    /// <exception cref="InvalidOperationException"><typeparamref name="T"/> does not match the element type.</exception>
    public T[] ToArray<T>() where T : unmanaged
    {
        var host = new T[Count];
        CopyTo<T>(host);
        return host;
    }

    /// <summary>The elements of an F32 tensor, copied to the host.</summary>
    public float[] ToArray() => ToArray<float>();

    /// <summary>Copies the elements to the host.</summary>
    public void CopyTo<T>(Span<T> host) where T : unmanaged
    {
        RequireType(TypeOf<T>());
        if (host.Length != Count) throw new ArgumentException($"Tensor.CopyTo: {host.Length} places for {Count} elements of {this}");
        Device.Download(Address, MemoryMarshal.AsBytes(host));
    }

    /// <summary>Overwrites the elements from the host.</summary>
    public void CopyFrom<T>(ReadOnlySpan<T> host) where T : unmanaged
    {
        RequireType(TypeOf<T>());
        if (host.Length != Count) throw new ArgumentException($"Tensor.CopyFrom: {host.Length} values for {Count} elements of {this}");
        Device.Upload(MemoryMarshal.AsBytes(host), Address);
    }

    /// <summary>The only element of a one-element F32 tensor.</summary>
    public float Item()
    {
        if (Count != 1) throw new InvalidOperationException($"Tensor.Item: {this} holds {Count} elements, not one");
        Span<float> one = stackalloc float[1];
        CopyTo(one);
        return one[0];
    }

    /// <summary>A copy in memory of its own that no step owns: it lives until <see cref="Release()"/>.</summary>
    public Tensor Persist([CallerMemberName] string madeBy = "")
    {
        var step = Device.CurrentStep;
        Device.CurrentStep = null;
        try
        {
            var t = Like(this, madeBy);
            Device.Copy(Address, t.Address, Bytes);
            return t;
        }
        finally
        {
            Device.CurrentStep = step;
        }
    }

    /// <summary>Marks a leaf whose gradient is wanted; <see cref="Backward"/> leaves it in <see cref="Grad"/>.</summary>
    public Tensor WithGrad()
    {
        if (!DType.IsFloat()) throw new InvalidOperationException($"{this} cannot carry a gradient: only float types can");
        NeedsGrad = true;
        return this;
    }

    /// <summary>Asks <see cref="Backward"/> not to release this tensor, so that it can be read afterwards (until its step ends).</summary>
    public Tensor Keep()
    {
        IsKept = true;
        return this;
    }

    /// <summary>
    /// Walks the tape backward from this scalar. Leaves get their gradients (added to what is there); what the walk no
    /// longer needs is released on the way, so the peak of memory is at its beginning.
    /// </summary>
    /// <param name="scale">The seed dL/dL; other than 1 for loss scaling and for averages over accumulated batches.</param>
    /// <exception cref="InvalidOperationException">Not a scalar, or nothing was recorded.</exception>
    public void Backward(float scale = 1f)
    {
        var step = Device.CurrentStep ?? throw new InvalidOperationException("Backward outside a step: open one with device.BeginStep()");
        step.Tape.Backward(this, scale);
    }

    /// <summary>Gives this handle up; the memory returns to the pool when the last view is released.</summary>
    public void Release() => Release("it was released");

    internal void Release(string by)
    {
        if (_released) return;
        _released = true;
        _storage.Release(by);
    }

    /// <summary>Returns the memory at once, whoever still views it.</summary>
    internal void Free(string by)
    {
        _released = true;
        _storage.Free(by);
    }

    /// <summary>Another handle on the same memory, with this shape.</summary>
    internal Tensor View(Shape shape, long offsetBytes = 0)
    {
        _ = Address;
        _storage.AddRef();
        return new Tensor(_storage, OffsetBytes + offsetBytes, shape, DType);
    }

    /// <summary>The step that returns its memory, or null.</summary>
    internal Step? Owner => _storage.Owner;

    /// <summary>Leaves its memory to a step around the one that owns it; memory that no step owns stays so.</summary>
    internal Tensor MoveTo(Step? step)
    {
        _storage.MoveTo(step);
        return this;
    }

    /// <summary>True when the memory belongs to a step and goes back when that ends.</summary>
    internal bool IsStepOwned => Owner != null;

    /// <summary>True when no other handle shares the memory, so it may be changed in place.</summary>
    internal bool IsSole => _storage.Refs == 1;

    /// <summary>The address of the first element. Throws if the memory was returned.</summary>
    internal nint Address => !_released
        ? _storage.Pointer + (nint)OffsetBytes
        : throw new ObjectDisposedException(nameof(Tensor), $"a tensor of shape {Shape} made by {_storage.MadeBy} was used after it was released");

    /// <summary>Pointer to F32 elements, for the CPU pages of ops.</summary>
    internal unsafe float* F32
    {
        get
        {
            RequireType(DType.F32);
            return (float*)Address;
        }
    }

    /// <summary>Pointer to elements stored as <typeparamref name="T"/>, for CPU kernels.</summary>
    internal unsafe T* At<T>() where T : unmanaged, IElement<T>
    {
        RequireType(T.Type);
        return (T*)Address;
    }

    /// <summary>Pointer to I32 elements, for the CPU pages of ops.</summary>
    internal unsafe int* I32
    {
        get
        {
            RequireType(DType.I32);
            return (int*)Address;
        }
    }

    /// <summary>Type, shape, device and the op that made it.</summary>
    public override string ToString() => $"{DType} {Shape} on {Device.Name} from {_storage.MadeBy}";

    private void RequireType(DType wanted)
    {
        if (DType != wanted) throw new InvalidOperationException($"expected elements of type {wanted}, got {this}; convert with Ops.Cast");
    }

    private static DType TypeOf<T>() =>
        typeof(T) == typeof(float) ? DType.F32
        : typeof(T) == typeof(int) ? DType.I32
        : typeof(T) == typeof(long) ? DType.I64
        : typeof(T) == typeof(byte) ? DType.U8
        : typeof(T) == typeof(Half) ? DType.F16
        : typeof(T) == typeof(ushort) ? DType.BF16 // .NET has no bfloat16 that all APIs take: its bits travel as ushort
        : throw new InvalidOperationException($"no element type for {typeof(T).Name}");
}
