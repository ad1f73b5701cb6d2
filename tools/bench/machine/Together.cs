using System.Diagnostics;

namespace Plip.Bench;

/// <summary>Runs the same body on plain threads that start at once, and times from the first start to the last end.</summary>
internal static class Together
{
    /// <summary>Seconds of body(0) … body(threads − 1), side by side.</summary>
    public static double Seconds(int threads, Action<int> body)
    {
        using var ready = new Barrier(threads);
        var (starts, ends) = (new long[threads], new long[threads]);
        void One(int t)
        {
            ready.SignalAndWait();
            starts[t] = Stopwatch.GetTimestamp();
            body(t);
            ends[t] = Stopwatch.GetTimestamp();
        }
        var others = Enumerable.Range(1, threads - 1).Select(t => new Thread(() => One(t))).ToArray();
        foreach (var thread in others) thread.Start();
        One(0);
        foreach (var thread in others) thread.Join();
        return Stopwatch.GetElapsedTime(starts.Min(), ends.Max()).TotalSeconds;
    }
}
