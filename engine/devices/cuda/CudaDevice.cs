using static Plip.Engine.DriverApi;

namespace Plip.Engine;

/// <summary>
/// A GPU. Kernels, copies and clearings go in order on one stream and return before they ran; only reading a tensor waits. A second
/// stream carries uploads that go on beside the kernels (<see cref="UploadAhead"/>).
/// </summary>
/// <remarks>
/// One thread at a time drives a device, any thread. Kernels are compiled at their first use and kept on disk (<see cref="KernelCache"/>).
/// <c>PLIP_CUDA_SYNC=1</c> waits for each kernel, so that one that fails is named.
/// </remarks>
public sealed unsafe partial class CudaDevice : Device
{
    [ThreadStatic] private static CudaDevice? t_entered; // whose context is the thread's

    private readonly nint _context, _stream, _copies;
    private readonly int _ordinal;
    private readonly bool _synchronous = Environment.GetEnvironmentVariable("PLIP_CUDA_SYNC") == "1";
    private readonly CudaMemory _memory;
    private readonly PinnedStaging _staging;
    private readonly LaunchLog _log = new();
    private readonly Action _finish, _read; // Wait and Synchronize, made once
    private readonly List<CudaTransfer> _transfers = [];
    private CudaException? _failure;
    private bool _capturing, _disposed;

    /// <summary>A CUDA device.</summary>
    /// <param name="ordinal">Which of those that CUDA_VISIBLE_DEVICES leaves.</param>
    /// <param name="memoryLimit">Bytes of the GPU's memory it may take; 0 is all.</param>
    /// <param name="pooled">False gives each tensor memory of its own from the driver: slow, but the emulator then sees every access past its end.</param>
    /// <param name="cacheFolder">Where compiled kernels are kept; null is the user's cache folder.</param>
    /// <exception cref="CudaLibraryException">There is no driver.</exception>
    /// <exception cref="CudaVersionException">The driver is too old.</exception>
    /// <exception cref="CudaNoDeviceException">There is no such device.</exception>
    public CudaDevice(int ordinal = 0, long memoryLimit = 0, bool pooled = true, string? cacheFolder = null)
    {
        var count = Cuda.Devices;
        if (ordinal < 0 || ordinal >= count) throw new CudaNoDeviceException($"device {ordinal} was asked for and there are {count}");
        _ordinal = ordinal;
        Description = CudaDeviceInfo.Of(ordinal);
        int device;
        nint context, stream, copies;
        Cuda.Check(cuDeviceGet(&device, ordinal));
        Cuda.Check(cuDevicePrimaryCtxRetain(&context, device));
        _context = context;
        Enter();
        Cuda.Check(cuStreamCreate(&stream, StreamNonBlocking));
        Cuda.Check(cuStreamCreate(&copies, StreamNonBlocking));
        (_stream, _copies, _finish, _read) = (stream, copies, Wait, Synchronize);
        _memory = new CudaMemory(pooled, memoryLimit, stream);
        _staging = new PinnedStaging(stream);
        KernelCache = new KernelCache(cacheFolder);
        Sources = KernelSources.Load();
        _kernels = new KernelTable(Sources, () => new KernelCompiler(Sources, Description.Capability), KernelCache);
    }

    /// <inheritdoc/>
    public override string Name => "cuda";

    /// <summary>Its name, size and abilities.</summary>
    public CudaDeviceInfo Description { get; }

    /// <summary>Bytes taken from the driver, how many of them wait to be handed out again, and how often the driver was asked.</summary>
    public (long Reserved, long Cached, int DriverCalls) Pool => (_memory.ReservedBytes, _memory.CachedBytes, _memory.DriverCalls);

    /// <summary>
    /// Whether <see cref="Capture"/> is worth it: it does not work where each tensor has memory of its own, and PLIP_CUDA_SYNC=1 asks for each kernel by itself.
    /// </summary>
    public bool CanCapture => _memory.IsPooled && !_synchronous;

    internal KernelSources Sources { get; }

    internal KernelCache KernelCache { get; }

    internal nint Stream => _stream;

    /// <summary>Waits until everything launched has been done. Reading a tensor does the same.</summary>
    /// <exception cref="CudaLaunchException">A kernel failed.</exception>
    /// <exception cref="ArgumentException">An op launched before was given an id, a label or offsets that it cannot use; says which.</exception>
    public void Synchronize()
    {
        Enter();
        if (!_capturing) _faults?.Fetch();
        Wait();
        _faults?.Throw();
    }

    /// <summary>Waits, whatever was noted in <see cref="Faults"/>.</summary>
    private void Wait()
    {
        Enter();
        if (_capturing) throw new InvalidOperationException("the program waited for the GPU, or read a tensor, while a graph was captured: read after the replay");
        Cuda.Check(cuStreamSynchronize(_stream));
        _log.Finished();
    }

    /// <inheritdoc/>
    public override void Run(Action<CpuDevice> cpu) =>
        throw new NotSupportedException("this op has no CUDA kernel yet: run it on the CPU device");

    /// <inheritdoc/>
    public override void Upload(ReadOnlySpan<byte> from, nint to)
    {
        Enter();
        if (_capturing && from.Length > 0)
            throw new InvalidOperationException("the program uploaded while a graph was captured: the replay would not do it again; fill the tensor before each replay");
        using var measured = Profiler.Transfer(this, "upload", 2L * from.Length);
        _staging.Upload(from, to);
    }

    /// <inheritdoc/>
    public override void Download(nint from, Span<byte> to)
    {
        Enter();
        using var measured = Profiler.Transfer(this, "download", 2L * to.Length);
        if (_capturing) Synchronize();
        _staging.Download(from, to, _read);
    }

    /// <inheritdoc/>
    public override void Copy(nint from, nint to, long bytes)
    {
        if (bytes == 0) return;
        Enter();
        using var measured = Profiler.Transfer(this, "copy", 2 * bytes);
        Cuda.Check(cuMemcpyDtoDAsync_v2(to, from, (nuint)bytes, _stream));
    }

    /// <inheritdoc/>
    public override void Clear(nint at, long bytes)
    {
        if (bytes == 0) return;
        Enter();
        using var measured = Profiler.Transfer(this, "clear", bytes);
        Cuda.Check(cuMemsetD8Async(at, 0, (nuint)bytes, _stream));
    }

    /// <inheritdoc/>
    protected override nint Take(long bytes) => Take(bytes, "");

    /// <inheritdoc/>
    protected override nint Take(long bytes, string madeBy)
    {
        Enter();
        return _memory.Take(bytes, madeBy, _finish, CurrentStep != null);
    }

    /// <inheritdoc/>
    protected override void Give(nint pointer, long bytes)
    {
        // A step that ends because of an error must not hide it behind another.
        if (_disposed || _failure != null) return;
        Enter();
        for (var i = _transfers.Count - 1; i >= 0; i--)
            if (!_capturing && _transfers[i].To >= pointer && _transfers[i].To < pointer + bytes) Join(_transfers[i]); // on its way to what is given back
        _memory.Give(pointer, _finish);
    }

    /// <summary>Memory for so many floats, for kernels launched before it is disposed.</summary>
    internal CudaScratch Scratch(long floats) =>
        new(Allocate(Math.Max(1, floats) * sizeof(float), "scratch"));

    /// <summary>Makes this device's context the thread's: cheap when it is already.</summary>
    internal void Enter()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_failure != null) throw Again(_failure);
        if (t_entered == this) return;
        Cuda.Check(cuCtxSetCurrent(_context));
        t_entered = this;
    }

    /// <summary>True while <see cref="CudaGraph"/> records: nothing may be read or uploaded.</summary>
    internal bool IsCapturing => _capturing;

    /// <summary>The device this thread drove last.</summary>
    internal static CudaDevice? Entered => t_entered;

    /// <summary>The exception for a call that did not succeed; it names the kernels that may be the reason.</summary>
    internal CudaException Failed(int result, string call)
    {
        var error = Cuda.Error(result, call, _log.Describe(_synchronous));
        if (error is CudaLaunchException or CudaDeviceLostException) _failure ??= error;
        return error;
    }

    private static CudaException Again(CudaException e) => e is CudaLaunchException
        ? new CudaLaunchException($"this device's context was lost by an earlier error: end the process. It was: {e.Message}", e.Code)
        : new CudaDeviceLostException(e.Message, e.Code);

    /// <summary>Returns all memory; tensors of this device are invalid afterwards.</summary>
    public override void Dispose()
    {
        if (_disposed) return;
        if (t_entered != this) _ = cuCtxSetCurrent(_context);
        _ = cuStreamSynchronize(_stream);
        _faults?.Dispose();
        _disposed = true;
        foreach (var t in _transfers) _ = cuEventDestroy_v2(t.Arrived);
        DisposeGemm();
        _clock?.Dispose();
        _kernels.Dispose();
        _staging.Dispose();
        _memory.Dispose();
        _ = cuStreamDestroy_v2(_copies);
        _ = cuStreamDestroy_v2(_stream);
        int device;
        if (cuDeviceGet(&device, _ordinal) == Success) _ = cuDevicePrimaryCtxRelease_v2(device);
        t_entered = null;
    }
}
