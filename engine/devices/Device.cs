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

    /// <summary>
    /// The lists of the last step that ended, for the next: a step of thousands of tensors would otherwise grow them anew each
    /// time, and arrays of ten thousand entries are garbage of the expensive kind.
    /// </summary>
    internal (List<Storage?> Owned, List<Tape.Node> Nodes)? SpareLists { get; set; }

    /// <summary>What records this device's work at the moment, or null.</summary>
    internal Profiler? Profiler { get; set; }

    /// <summary>The time a profile of this device is measured in.</summary>
    internal virtual IProfileClock ProfileClock => new HostClock();

    /// <summary>Opens a step: every tensor made until it is disposed goes back to the pool then (DESIGN 2).</summary>
    /// <param name="recordGradients">False for evaluation: nothing is taped and nothing is kept for a backward.</param>
    public Step BeginStep(bool recordGradients = true) => new(this, recordGradients);

    /// <summary>Runs an op's arithmetic where its tensors live. Each op hands in its page's code for every device there is.</summary>
    public abstract void Run(Action<CpuDevice> cpu);

    /// <summary>Runs an op's kernel where its tensors live: <c>x.Device.Run(x.DType, new LayerNormForward(…))</c>.</summary>
    /// <param name="type">How the activations are stored.</param>
    /// <param name="kernel">The page's kernel.</param>
    internal void Run<TKernel>(DType type, TKernel kernel) where TKernel : struct, IKernel
    {
        if (this is CpuDevice cpu) cpu.Launch(type, kernel);
        else if (this is CudaDevice gpu) gpu.Launch(type, kernel);
        else ((PlanDevice)this).Note(kernel);
    }

    /// <summary>The same for a page that has no CUDA code yet: it names its kernel <c>cpu:</c>.</summary>
    /// <exception cref="NotSupportedException">The tensors live on a GPU.</exception>
    internal void Run<TKernel>(DType type, TKernel cpu, [CallerMemberName] string op = "") where TKernel : struct, ICpuKernel
    {
        if (this is not CpuDevice device)
            throw new NotSupportedException($"{op}: its kernel {cpu.Work.Name} has no CUDA code yet; run this op on the CPU device");
        device.Launch(type, cpu);
    }

    /// <summary>Copies host bytes to this device. When it returns, <paramref name="from"/> may change, and what is launched later sees the copy.</summary>
    public abstract void Upload(ReadOnlySpan<byte> from, nint to);

    /// <summary>Copies bytes of this device to the host; complete when it returns.</summary>
    public abstract void Download(nint from, Span<byte> to);

    /// <summary>Copies within the device.</summary>
    public abstract void Copy(nint from, nint to, long bytes);

    /// <summary>Sets bytes to zero.</summary>
    public abstract void Clear(nint at, long bytes);

    /// <summary>Takes a block from the pool; contents are undefined.</summary>
    protected abstract nint Take(long bytes);

    /// <summary>The same; a device that can run out of memory remembers who made what.</summary>
    protected virtual nint Take(long bytes, string madeBy) => Take(bytes);

    /// <summary>Gives a block back to the pool.</summary>
    protected abstract void Give(nint pointer, long bytes);

    /// <inheritdoc/>
    public abstract void Dispose();

    internal Storage Allocate(long bytes, string madeBy)
    {
        var storage = new Storage(this, Take(bytes, madeBy), bytes, CurrentStep, madeBy);
        CurrentStep?.Own(storage);
        _liveBlocks++;
        _liveBytes += bytes;
        _peakBytes = Math.Max(_peakBytes, _liveBytes);
        Profiler?.Allocated(bytes, _liveBytes);
        return storage;
    }

    internal void Return(nint pointer, long bytes)
    {
        Give(pointer, bytes);
        _liveBlocks--;
        _liveBytes -= bytes;
    }

    /// <summary>True while <see cref="Recompute"/> runs a body again: what a body does besides its result must be done once only.</summary>
    public bool IsRecomputing { get; internal set; }

    /// <summary>True when ops on this device are being taped.</summary>
    public bool Recording => CurrentStep is { RecordsGradients: true };
}
