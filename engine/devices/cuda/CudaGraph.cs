using static Plip.Engine.DriverApi;

namespace Plip.Engine;

/// <summary>
/// A step that was recorded once and is replayed with one call: a thousand launches cost what one does. A replay does the very same
/// work on the very same addresses, so what changes from step to step (a learning rate, a batch, a random offset) must lie in
/// tensors that are filled before it, never in an argument (DESIGN 1).
/// </summary>
public sealed unsafe class CudaGraph : IDisposable
{
    private readonly CudaDevice _device;
    private readonly IReadOnlyCollection<nint> _blocks;
    private readonly string _launches;
    private nint _executable;

    internal CudaGraph(CudaDevice device, nint executable, IReadOnlyCollection<nint> blocks, string launches) =>
        (_device, _executable, _blocks, _launches) = (device, executable, blocks, launches);

    /// <summary>Blocks of memory that are set aside for it.</summary>
    internal int Blocks => _blocks.Count;

    /// <summary>Runs the step again; returns before it is done, as a launch does.</summary>
    /// <exception cref="ObjectDisposedException">It was disposed.</exception>
    /// <exception cref="InvalidOperationException">A step is open that was lent the memory graphs work in.</exception>
    public void Replay()
    {
        ObjectDisposedException.ThrowIf(_executable == 0, this);
        _device.Replay(_executable, _launches);
    }

    /// <summary>Gives its memory back to the device.</summary>
    public void Dispose()
    {
        if (_executable == 0) return;
        _device.Free(_executable, _blocks);
        _executable = 0;
    }
}

public sealed unsafe partial class CudaDevice
{
    private static readonly Work s_replay = new("graph", 0, 0);
    private (int Count, (string Kernel, Launch Shape) First, (string Kernel, Launch Shape) Last) _captured;

    /// <summary>
    /// Records what <paramref name="step"/> launches, without running it. Run the same step once before: kernels are then compiled and
    /// the sizes known. The step may make and release tensors (their memory is set aside for graphs, which share it) and may not read or upload any.
    /// What it leaves for the program to read is in tensors that are no step's: made before, or by <see cref="Tensor.Persist"/>.
    /// </summary>
    /// <exception cref="InvalidOperationException">The step read, waited or uploaded, or another capture is under way.</exception>
    /// <exception cref="CudaException">The driver cannot record what the step does.</exception>
    public CudaGraph Capture(Action step)
    {
        Enter();
        if (_capturing) throw new InvalidOperationException("a capture is under way already: captures do not nest");
        var profiler = Profiler;
        foreach (var transfer in _transfers) Join(transfer); // what is recorded may not wait for what is not
        _memory.BeginCapture();
        Profiler = null; // a recorded launch takes no time of its own; the replay is measured
        nint graph = 0, executable;
        IReadOnlyCollection<nint> blocks;
        try
        {
            Cuda.Check(cuStreamBeginCapture_v2(_stream, CaptureRelaxed));
            _capturing = true;
            _captured = default;
            try
            {
                step();
            }
            catch
            {
                if (cuStreamEndCapture(_stream, &graph) == Success && graph != 0) _ = cuGraphDestroy(graph);
                graph = 0;
                throw;
            }
            Cuda.Check(cuStreamEndCapture(_stream, &graph));
        }
        finally
        {
            _capturing = false;
            Profiler = profiler;
            blocks = _memory.EndCapture();
            if (graph == 0) _memory.Free(blocks);
        }
        var result = cuGraphInstantiateWithFlags(&executable, graph, 0);
        _ = cuGraphDestroy(graph);
        if (result != Success) _memory.Free(blocks);
        Cuda.Check(result, nameof(cuGraphInstantiateWithFlags));
        return new CudaGraph(this, executable, blocks, $"a graph of {_captured.Count} launches, {_captured.First.Kernel}: {_captured.First.Shape} to {_captured.Last.Kernel}: {_captured.Last.Shape}");
    }

    internal void Replay(nint executable, string launches)
    {
        Enter();
        if (_memory.IsLent)
            throw new InvalidOperationException("a graph was replayed inside a step whose tensors lie in memory that graphs share: end the step first");
        using var measured = Profiler?.Begin(ProfileKind.Kernel, s_replay) ?? default;
        if (_faults != null) _faults.IsOpen = true;
        _log.Add(launches);
        Cuda.Check(cuGraphLaunch(executable, _stream));
        if (_synchronous) Synchronize();
    }

    internal void Free(nint executable, IReadOnlyCollection<nint> blocks)
    {
        if (_disposed || _failure != null) return;
        Wait(); // a replay may be under way
        _ = cuGraphExecDestroy(executable);
        _memory.Free(blocks);
    }
}
