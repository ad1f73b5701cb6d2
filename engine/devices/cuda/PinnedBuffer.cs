namespace Plip.Engine;

/// <summary>
/// Host memory that the GPU reads by itself while both go on: what a batch is assembled in. Any thread may fill it; the thread that drives the
/// device starts the copy with <see cref="CudaDevice.UploadAhead"/> and waits for it before the buffer is filled again. What is read a step
/// later comes into one too (<see cref="CudaDevice.DownloadLater"/>).
/// </summary>
public sealed unsafe class PinnedBuffer : IDisposable
{
    private readonly CudaDevice _device;
    private nint _at;

    internal PinnedBuffer(CudaDevice device, nint at, int bytes) => (_device, _at, Length) = (device, at, bytes);

    /// <summary>Bytes.</summary>
    public int Length { get; }

    /// <summary>The memory.</summary>
    /// <exception cref="ObjectDisposedException">It was freed.</exception>
    public Span<byte> Span => new((void*)Address, Length);

    internal nint Address => _at != 0 ? _at : throw new ObjectDisposedException(nameof(PinnedBuffer));

    /// <summary>Frees it, on the thread that drives the device. No copy to or from it may be under way.</summary>
    public void Dispose()
    {
        if (_at != 0) _device.FreePinned(_at);
        _at = 0;
    }
}

/// <summary>A copy to or from the GPU that the program does not wait for.</summary>
public sealed class CudaTransfer
{
    private readonly CudaDevice _device;

    internal CudaTransfer(CudaDevice device, nint arrived, nint to) => (_device, Arrived, To) = (device, arrived, to);

    internal nint Arrived { get; private set; }

    internal nint To { get; }

    /// <summary>Orders kernels that are launched from here on behind the copy. The program does not wait.</summary>
    public void Join() => _device.Join(this);

    /// <summary>Waits until the copy is done: the host's buffer may be filled again, or read.</summary>
    public void Wait() => _device.Wait(this);

    internal void Close() => Arrived = 0;
}
