using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>
/// A place where tensors live and ops run. The contract is small on purpose (DESIGN 7): memory, steps, copies and
/// <see cref="Run"/>; an op's arithmetic stands on the op's own page, once for each device.
/// A device is driven by one thread at a time.
/// </summary>
public abstract class Device : IDisposable
{
    private long _liveBytes, _peakBytes;
    private int _liveBlocks;

    /// <summary>Short name for messages, such as "cpu".</summary>
    public abstract string Name { get; }

    /// <summary>The innermost open step, or null.</summary>
    public Step? CurrentStep { get; internal set; }

    /// <summary>Blocks of memory that are out: tensors of open steps, parameters, optimiser state. A leak shows here.</summary>
    public (int Blocks, long Bytes, long PeakBytes) MemoryInUse => (_liveBlocks, _liveBytes, _peakBytes);

    /// <summary>Restarts the peak in <see cref="MemoryInUse"/> from what is in use now.</summary>
    public void ResetPeak() => _peakBytes = _liveBytes;

    /// <summary>Opens a step: every tensor made until it is disposed goes back to the pool then (DESIGN 2).</summary>
    /// <param name="recordGradients">False for evaluation: nothing is taped and nothing is kept for a backward.</param>
    public Step BeginStep(bool recordGradients = true) => new(this, recordGradients);

    /// <summary>Runs an op's arithmetic where its tensors live. Each op hands in its page's code for every device there is.</summary>
    public abstract void Run(Action<CpuDevice> cpu);

    /// <summary>Runs an op's kernel where its tensors live.</summary>
    /// <param name="type">How the activations are stored.</param>
    /// <param name="cpu">The page's kernel for the CPU.</param>
    internal void Run<TKernel>(DType type, TKernel cpu) where TKernel : struct, ICpuKernel => ((CpuDevice)this).Launch(type, cpu);

    /// <summary>Copies host bytes to this device; complete when it returns.</summary>
    public abstract void Upload(ReadOnlySpan<byte> from, nint to);

    /// <summary>Copies bytes of this device to the host; complete when it returns.</summary>
    public abstract void Download(nint from, Span<byte> to);

    /// <summary>Copies within the device.</summary>
    public abstract void Copy(nint from, nint to, long bytes);

    /// <summary>Sets bytes to zero.</summary>
    public abstract void Clear(nint at, long bytes);

    /// <summary>Takes a block from the pool; contents are undefined.</summary>
    protected abstract nint Take(long bytes);

    /// <summary>Gives a block back to the pool.</summary>
    protected abstract void Give(nint pointer, long bytes);

    /// <inheritdoc/>
    public abstract void Dispose();

    internal Storage Allocate(long bytes, string madeBy)
    {
        var storage = new Storage(this, Take(bytes), bytes, CurrentStep, madeBy);
        CurrentStep?.Own(storage);
        _liveBlocks++;
        _liveBytes += bytes;
        _peakBytes = Math.Max(_peakBytes, _liveBytes);
        return storage;
    }

    internal void Return(nint pointer, long bytes)
    {
        Give(pointer, bytes);
        _liveBlocks--;
        _liveBytes -= bytes;
    }

    /// <summary>True when ops on this device are being taped.</summary>
    internal bool Recording => CurrentStep is { RecordsGradients: true };
}
