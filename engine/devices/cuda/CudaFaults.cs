using System.Runtime.InteropServices;
using static Plip.Engine.DriverApi;

namespace Plip.Engine;

/// <summary>
/// Bad ids, labels and offsets that kernels met (kernels/faults.cu). To look at them on the host would be to wait for the GPU in each op, and
/// could not be captured in a graph; so a kernel notes the first in a record of the device and mends it where it lies (nothing behind reads out of
/// bounds), and the host looks at the record where it waits anyway. Launches are in order, so the first op's first fault is the one that is named.
/// </summary>
internal sealed unsafe class CudaFaults(CudaDevice device) : IDisposable
{
    private const int Words = 6; // kind (0: none), op, position, value, limit, other

    private readonly List<string> _ops = [];
    private readonly PinnedBuffer _host = device.AllocatePinned(Words * sizeof(int));
    private readonly nint _record = device.AskCleared(Words * sizeof(int));

    /// <summary>The record, for a kernel that checks.</summary>
    public CudaInts Record
    {
        get
        {
            IsOpen = true;
            return new CudaInts(_record);
        }
    }

    /// <summary>Whether something was launched that may have written to it since it was read.</summary>
    public bool IsOpen { get; set; }

    /// <summary>The number by which kernels call an op.</summary>
    public int Of(string op)
    {
        var at = _ops.IndexOf(op);
        if (at < 0)
        {
            at = _ops.Count;
            _ops.Add(op);
        }
        return at;
    }

    /// <summary>Starts the copy to the host, behind what was launched.</summary>
    public void Fetch()
    {
        if (IsOpen) Cuda.Check(cuMemcpyDtoHAsync_v2((void*)_host.Address, _record, Words * sizeof(int), device.Stream));
    }

    /// <summary>Looks at what was fetched, once the program has waited.</summary>
    /// <exception cref="ArgumentException">A kernel met a bad index; the record is empty again and the device goes on.</exception>
    public void Throw()
    {
        if (!IsOpen) return;
        IsOpen = false;
        var words = MemoryMarshal.Cast<byte, int>(_host.Span);
        if (words[0] == 0) return;
        Cuda.Check(cuMemsetD8Async(_record, 0, Words * sizeof(int), device.Stream));
        throw new IndexFault((IndexFaultKind)words[0], _ops[words[1]], words[2], words[3], words[4], words[5]).Exception();
    }

    public void Dispose()
    {
        _host.Dispose();
        _ = cuMemFree_v2(_record);
    }
}

/// <summary>The address of ints that are no tensor's, for a launch.</summary>
internal readonly record struct CudaInts(nint Address);

public sealed unsafe partial class CudaDevice
{
    private CudaFaults? _faults;

    /// <summary>Bad indices that kernels met.</summary>
    internal CudaFaults Faults => _faults ??= new CudaFaults(this);

    /// <summary>
    /// Zeroed memory from the driver. May be asked for while a graph is captured: what clears it goes by the other stream, which is not captured. A
    /// block of the pool would not do, for work that is under way may still write to it.
    /// </summary>
    internal nint AskCleared(int bytes)
    {
        Enter();
        nint at;
        Cuda.Check(cuMemAlloc_v2(&at, (nuint)bytes));
        Cuda.Check(cuMemsetD8Async(at, 0, (nuint)bytes, _copies));
        Cuda.Check(cuStreamSynchronize(_copies));
        return at;
    }
}
