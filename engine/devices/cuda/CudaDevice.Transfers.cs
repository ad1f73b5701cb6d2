using static Plip.Engine.DriverApi;

namespace Plip.Engine;

public sealed unsafe partial class CudaDevice
{
    /// <summary>Host memory for a batch, which the GPU copies by itself. Free it with <see cref="PinnedBuffer.Dispose"/>.</summary>
    /// <exception cref="CudaException">The system gives no more.</exception>
    public PinnedBuffer AllocatePinned(int bytes)
    {
        Enter();
        nint at;
        var result = cuMemHostAlloc(&at, (nuint)Math.Max(1, bytes), HostPortable);
        if (result == OutOfMemory) throw new CudaException($"the system has no {bytes} bytes that it can pin; make the batch or the number of batches held ahead smaller", result);
        Cuda.Check(result, nameof(cuMemHostAlloc));
        return new PinnedBuffer(this, at, bytes);
    }

    internal void FreePinned(nint at)
    {
        if (_disposed || _failure != null) return; // it went, or goes, with the context
        Enter();
        _ = cuMemFreeHost(at);
    }

    /// <summary>
    /// Starts a copy that goes on beside the kernels. It begins when what was launched before has ended, for that may still read the
    /// tensor; kernels launched after <see cref="CudaTransfer.Join"/> see what was copied. To overlap, let two tensors take turns.
    /// </summary>
    /// <exception cref="ArgumentException">The buffer holds fewer bytes than the tensor.</exception>
    public CudaTransfer UploadAhead(PinnedBuffer from, Tensor to)
    {
        Enter();
        if (from.Length < to.Bytes) throw new ArgumentException($"UploadAhead: {from.Length} bytes for {to}, which takes {to.Bytes}");
        if (_capturing) throw new InvalidOperationException("the program uploaded while a graph was captured: fill the tensor before each replay");
        Sweep();
        nint free, arrived;
        Cuda.Check(cuEventCreate(&free, EventUntimed));
        Cuda.Check(cuEventRecord(free, _stream));
        Cuda.Check(cuStreamWaitEvent(_copies, free, 0));
        Cuda.Check(cuEventDestroy_v2(free));
        Cuda.Check(cuEventCreate(&arrived, EventUntimed));
        Cuda.Check(cuMemcpyHtoDAsync_v2(to.Address, (void*)from.Address, (nuint)to.Bytes, _copies));
        Cuda.Check(cuEventRecord(arrived, _copies));
        var transfer = new CudaTransfer(this, arrived, to.Address);
        _transfers.Add(transfer);
        return transfer;
    }

    /// <summary>
    /// Starts a copy to the host behind what was launched so far, and does not wait: a loss is read a step later, and the GPU never runs dry.
    /// <see cref="CudaTransfer.Wait"/> before the buffer is read.
    /// </summary>
    /// <exception cref="ArgumentException">The buffer holds fewer bytes than the tensor.</exception>
    public CudaTransfer DownloadLater(Tensor from, PinnedBuffer to)
    {
        Enter();
        if (to.Length < from.Bytes) throw new ArgumentException($"DownloadLater: {to.Length} bytes for {from}, which takes {from.Bytes}");
        if (_capturing) throw new InvalidOperationException("the program read a tensor while a graph was captured: read after the replay");
        Sweep();
        nint arrived;
        Cuda.Check(cuMemcpyDtoHAsync_v2((void*)to.Address, from.Address, (nuint)from.Bytes, _stream));
        Cuda.Check(cuEventCreate(&arrived, EventUntimed));
        Cuda.Check(cuEventRecord(arrived, _stream));
        var transfer = new CudaTransfer(this, arrived, 0);
        _transfers.Add(transfer);
        return transfer;
    }

    internal void Join(CudaTransfer transfer)
    {
        if (transfer.Arrived == 0) return;
        Enter();
        if (_capturing) throw new InvalidOperationException("the program joined an upload while a graph was captured: join it before the replay");
        Cuda.Check(cuStreamWaitEvent(_stream, transfer.Arrived, 0));
    }

    internal void Wait(CudaTransfer transfer)
    {
        if (transfer.Arrived == 0) return;
        Enter();
        Cuda.Check(cuEventSynchronize(transfer.Arrived));
        Close(transfer);
    }

    /// <summary>Forgets the transfers that are done.</summary>
    private void Sweep()
    {
        for (var i = _transfers.Count - 1; i >= 0; i--)
            if (cuEventQuery(_transfers[i].Arrived) == Success) Close(_transfers[i]);
    }

    /// <summary>It has arrived: whatever is launched from here on comes behind it.</summary>
    private void Close(CudaTransfer transfer)
    {
        _transfers.Remove(transfer);
        _ = cuEventDestroy_v2(transfer.Arrived);
        transfer.Close();
    }
}
