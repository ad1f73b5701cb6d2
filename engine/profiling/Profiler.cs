using System.Runtime.InteropServices;

namespace Plip.Engine;

/// <summary>
/// Records what a device does: every kernel with the work it states, every copy, what memory is taken, and the phases that
/// the program marks. While none runs, a launch pays one null check; while one runs, two readings of the device's clock.
/// </summary>
/// <example><code>
/// using var profiler = Profiler.Start(device);
/// runner.Run(batch, 1);
/// var report = ProfileReport.Of(profiler.Stop(), MachinePeak.Measure(device));
/// </code></example>
public sealed class Profiler : IDisposable
{
    private readonly Device _device;
    private readonly int _thread = Environment.CurrentManagedThreadId;
    private readonly List<Entry> _entries = new(4096);
    private readonly IProfileClock _clock;
    private int _open = -1; // the innermost entry that has not ended
    private long _peakBytes, _allocatedBytes;
    private int _allocations;
    private Profile? _profile;

    private Profiler(Device device)
    {
        _device = device;
        _peakBytes = device.MemoryInUse.Bytes;
        device.Profiler = this;
        _clock = device.ProfileClock;
        _clock.Start();
    }

    /// <summary>Starts recording on the calling thread, the one that drives the device.</summary>
    /// <exception cref="InvalidOperationException">A profiler runs on this device already.</exception>
    public static Profiler Start(Device device) => device.Profiler == null
        ? new Profiler(device)
        : throw new InvalidOperationException($"a profiler runs on {device.Name} already: stop it before another is started");

    /// <summary>Marks a part of a step, "forward" or "backward", until the returned scope is disposed. Phases nest.</summary>
    public static Scope Phase(Device device, string name) => device.Profiler?.Begin(ProfileKind.Phase, new Work(name, 0, 0)) ?? default;

    /// <summary>Ends the recording; what is still open ends now. Again gives the same profile.</summary>
    public Profile Stop()
    {
        if (_profile != null) return _profile;
        while (_open >= 0) End(_open);
        var end = _clock.Mark();
        _device.Profiler = null;
        _clock.Stop();
        // A kernel that launches others keeps what is its own, so that no time is counted twice.
        var entries = CollectionsMarshal.AsSpan(_entries);
        foreach (ref var e in entries)
        {
            (e.Start, e.End) = (_clock.Nanoseconds(e.Start), _clock.Nanoseconds(e.End));
            if (e.IsMeasured && e.Parent >= 0) entries[e.Parent].InnerTime += e.End - e.Start;
        }
        var events = new ProfileEvent[_entries.Count];
        for (var i = 0; i < events.Length; i++) events[i] = Finish(_entries[i]);
        return _profile = new Profile(_device.Name, events, _clock.Nanoseconds(end), _peakBytes, _allocatedBytes, _allocations);
    }

    /// <summary>Ends the recording.</summary>
    public void Dispose() => Stop();

    /// <summary>Marks an op of the tape while its backward runs.</summary>
    internal static Scope Op(Device device, string name) => device.Profiler?.Begin(ProfileKind.Op, new Work(name, 0, 0)) ?? default;

    /// <summary>Marks a copy within the device, to it or from it, or a clearing.</summary>
    internal static Scope Transfer(Device device, string name, long bytes) => device.Profiler?.Begin(ProfileKind.Transfer, new Work(name, bytes, 0)) ?? default;

    internal Scope Begin(ProfileKind kind, Work work)
    {
        // A worker's copies belong to the kernel that runs them, and the list belongs to one thread.
        if (Environment.CurrentManagedThreadId != _thread || _profile != null) return default;
        _entries.Add(new Entry { Kind = kind, Work = work, Parent = _open, Memory = _device.MemoryInUse.Bytes });
        _open = _entries.Count - 1;
        CollectionsMarshal.AsSpan(_entries)[_open].Start = _clock.Mark();
        return new Scope(this, _open);
    }

    internal void Allocated(long bytes, long inUse)
    {
        _allocations++;
        _allocatedBytes += bytes;
        _peakBytes = Math.Max(_peakBytes, inUse);
    }

    private void End(int index)
    {
        if (_profile != null) return;
        var now = _clock.Mark();
        var entries = CollectionsMarshal.AsSpan(_entries);
        ref var entry = ref entries[index];
        if (entry.End != 0) return;
        entry.End = now;
        entry.MemoryAfter = _device.MemoryInUse.Bytes;
        _open = entry.Parent;
        if (!entry.IsMeasured || entry.Parent < 0) return;
        ref var outer = ref entries[entry.Parent];
        outer.InnerBytes += entry.Work.Bytes;
        outer.InnerFlops += entry.Work.Flops;
    }

    private static ProfileEvent Finish(in Entry e)
    {
        var (time, measured) = (e.End - e.Start, e.IsMeasured);
        return new ProfileEvent(
            e.Kind, e.Work.Name, e.Start, time, measured ? time - e.InnerTime : 0,
            measured ? Math.Max(0, e.Work.Bytes - e.InnerBytes) : 0, measured ? Math.Max(0, e.Work.Flops - e.InnerFlops) : 0, e.Memory, e.MemoryAfter);
    }

    /// <summary>A span of the profile, ended by disposing it; <c>default</c> marks nothing.</summary>
    public readonly struct Scope : IDisposable
    {
        private readonly Profiler? _profiler;
        private readonly int _index;

        internal Scope(Profiler profiler, int index) => (_profiler, _index) = (profiler, index);

        /// <summary>Ends the span.</summary>
        public void Dispose() => _profiler?.End(_index);
    }

    private struct Entry
    {
        public ProfileKind Kind;
        public Work Work;
        public int Parent;
        public long Start, End, Memory, MemoryAfter, InnerTime, InnerBytes; // Start and End are the clock's marks until the recording ends
        public double InnerFlops;

        public readonly bool IsMeasured => Kind is ProfileKind.Kernel or ProfileKind.Transfer;
    }
}
