using static Plip.Engine.DriverApi;

namespace Plip.Engine;

/// <summary>
/// The GPU's time for the profiler: a launch returns long before its kernel runs, so a moment is an event on the stream and is read
/// when the recording ends. Kernels, ops and phases are thus all measured in the GPU's own order.
/// </summary>
internal sealed unsafe class CudaClock(CudaDevice device) : IProfileClock
{
    private readonly List<nint> _events = []; // kept for the next recording
    private double[] _at = []; // nanoseconds since the first
    private int _used;

    public void Start()
    {
        device.Synchronize();
        _used = 0;
        Mark();
    }

    public long Mark()
    {
        if (_used == _events.Count)
        {
            nint made;
            Cuda.Check(cuEventCreate(&made, EventTimed));
            _events.Add(made);
        }
        Cuda.Check(cuEventRecord(_events[_used], device.Stream));
        return _used++;
    }

    public void Stop()
    {
        device.Synchronize();
        _at = new double[_used];
        for (var i = 1; i < _used; i++)
        {
            // From one to the next: a difference of milliseconds in F32 would lose what a kernel takes after a minute.
            float milliseconds;
            Cuda.Check(cuEventElapsedTime(&milliseconds, _events[i - 1], _events[i]));
            _at[i] = _at[i - 1] + milliseconds * 1e6;
        }
    }

    public long Nanoseconds(long mark) => (long)_at[mark];

    public void Dispose()
    {
        foreach (var e in _events) _ = cuEventDestroy_v2(e);
        _events.Clear();
    }
}

public sealed unsafe partial class CudaDevice
{
    private CudaClock? _clock;

    internal override IProfileClock ProfileClock
    {
        get
        {
            Enter();
            return _clock ??= new CudaClock(this);
        }
    }
}
