using Plip.Engine;

namespace Plip.Training;

/// <summary>
/// Work that is done again and again, with shapes and tensors that stay. On a GPU, if asked, it is run once as it is, captured as a graph the second
/// time, and replayed from then on: one call in place of a thousand.
/// </summary>
/// <param name="device">Where it runs.</param>
/// <param name="capture">Whether to capture; otherwise, and on other devices, the work is simply run.</param>
internal sealed class Replayed(Device device, bool capture) : IDisposable
{
    private readonly CudaDevice? _gpu = capture && device is CudaDevice { CanCapture: true } gpu ? gpu : null;
    private CudaGraph? _graph;
    private bool _ran;

    /// <summary>How often it was replayed.</summary>
    public long Replays { get; private set; }

    /// <summary>Does the work; what it makes for the caller to read it must leave in tensors that are no step's.</summary>
    public void Run(Action work)
    {
        if (_gpu != null && _ran) _graph ??= _gpu.Capture(work);
        if (_graph == null)
        {
            work();
            _ran = true;
            return;
        }
        _graph.Replay();
        Replays++;
    }

    /// <summary>Gives the graph's memory back.</summary>
    public void Dispose() => _graph?.Dispose();
}
