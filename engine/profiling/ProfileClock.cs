using System.Diagnostics;

namespace Plip.Engine;

/// <summary>How a profile tells the time: a moment is marked when it comes and read when the recording has ended.</summary>
internal interface IProfileClock
{
    /// <summary>The recording begins now: time 0.</summary>
    void Start();

    /// <summary>Marks this moment; never 0 after <see cref="Start"/>.</summary>
    long Mark();

    /// <summary>The recording has ended; its marks can be read.</summary>
    void Stop();

    /// <summary>Nanoseconds from the start to a mark, rounded down: what nested when it was marked still nests.</summary>
    long Nanoseconds(long mark);
}

/// <summary>The processor's time, for a device whose kernels have run when their launch returns.</summary>
internal sealed class HostClock : IProfileClock
{
    private long _start;

    public void Start() => _start = Stopwatch.GetTimestamp();

    public long Mark() => Stopwatch.GetTimestamp();

    public void Stop() { }

    public long Nanoseconds(long mark) => (long)((mark - _start) * (1e9 / Stopwatch.Frequency));
}
