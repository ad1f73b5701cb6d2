using System.Diagnostics;
using System.Runtime;

namespace Plip.Bench;

/// <summary>
/// Takes times. A sample repeats the work until it has run for 2 ms and begins with 15 ms that do not count, so that threads
/// are awake, the clock has risen again and the caches hold this side's data and not the other's.
/// </summary>
internal sealed class Sampler(int repeats)
{
    private const double LeastSeconds = 2e-3, WarmSeconds = 0.3, LongSeconds = 1.0, LeadInSeconds = 0.015;
    private const int WarmRuns = 40; // the runtime replaces what it compiled in haste after 30 calls

    // What it replaces is compiled by a thread of its own, which takes a core from ours: it must have been quiet for a while.
    private const double QuietSeconds = 0.5, MostWarmSeconds = 15;

    // LibTorch's OpenMP workers spin after a call before they sleep, and would take a core from ours.
    private static readonly TimeSpan Rest = TimeSpan.FromMilliseconds(30);

    /// <summary>Medians, in seconds, of ours and of the peer in turn.</summary>
    /// <param name="ours">Ours.</param>
    /// <param name="peer">The peer; null for ours alone.</param>
    public (double Ours, double? Peer) Alternate(Timed ours, Timed? peer)
    {
        var expected = Warm(ours);
        if (peer != null)
        {
            expected = Math.Max(expected, Warm(peer));
            Thread.Sleep(Rest);
        }
        var count = expected >= LongSeconds ? Math.Min(repeats, Math.Max(3, repeats / 4)) : repeats;
        var (mine, theirs) = (new double[count], new double[peer == null ? 0 : count]);
        for (var i = 0; i < count; i++)
        {
            mine[i] = Sample(ours);
            if (peer == null) continue;
            theirs[i] = Sample(peer);
            Thread.Sleep(Rest);
        }
        return (Floor.Median(mine), peer == null ? null : Floor.Median(theirs));
    }

    /// <summary>A quick median of a few samples, to choose between variants of a peer.</summary>
    public double Quick(Timed work)
    {
        Warm(work);
        return Floor.Median(Enumerable.Range(0, Math.Min(3, repeats)).Select(_ => Sample(work)));
    }

    /// <summary>Runs until compiled code and pools have settled; the last run's seconds. One or two repeats are a trial of the program and no measurement.</summary>
    private double Warm(Timed work)
    {
        var begin = Stopwatch.GetTimestamp();
        var (changed, methods) = (begin, JitInfo.GetCompiledMethodCount());
        for (var runs = 1; ; runs++)
        {
            var last = Once(work);
            var spent = Stopwatch.GetElapsedTime(begin).TotalSeconds;
            if (JitInfo.GetCompiledMethodCount() is var now && now != methods) (changed, methods) = (Stopwatch.GetTimestamp(), now);
            var settled = Stopwatch.GetElapsedTime(changed).TotalSeconds > QuietSeconds || spent > MostWarmSeconds;
            if (runs >= 2 && (repeats < 3 || (settled && (spent > 4 * WarmSeconds || runs >= WarmRuns) && spent > WarmSeconds))) return last;
        }
    }

    private static double Sample(Timed work)
    {
        var (total, runs) = (0.0, 0);
        for (var lead = 0.0; lead < LeadInSeconds;)
        {
            var once = Once(work);
            lead += once;
            if (once > 4 * LeadInSeconds) return once; // a run this long is its own lead-in
        }
        while (total < LeastSeconds)
        {
            total += Once(work);
            runs++;
        }
        return total / runs;
    }

    private static double Once(Timed work)
    {
        work.Prepare?.Invoke();
        var begin = Stopwatch.GetTimestamp();
        work.Run();
        return Stopwatch.GetElapsedTime(begin).TotalSeconds;
    }
}
