using System.Diagnostics;
using Plip.Engine;

namespace Plip.Bench;

/// <summary>
/// Takes the GPU's own time: events on its stream before and after the work. Before each sample memory several times the second-level
/// cache is cleared, so the work finds nothing in it, as in a step; and while the GPU clears, the program has the time to
/// launch, so that what is measured is the GPU and not the program. Only what waits by itself (a value read back) costs its waiting.
/// </summary>
internal sealed class GpuTimer : IDisposable
{
    private const double MostSeconds = 0.5; // of a case
    private const int WarmRuns = 3;

    private readonly CudaDevice _gpu;
    private readonly CudaClock _clock;
    private readonly Tensor _flushed;
    private readonly int _samples;

    /// <param name="gpu">The device.</param>
    /// <param name="samples">Samples of a case at most; one is a trial of the program and no measurement.</param>
    public GpuTimer(CudaDevice gpu, int samples)
    {
        (_gpu, _samples, _clock) = (gpu, samples, new CudaClock(gpu));
        // 512 MB are written in 100 µs or more on any GPU there is, and no cache holds as much.
        _flushed = Tensor.Zeros(gpu, new Shape(CudaLibraries.Current.IsEmulator ? 1 << 10 : 128 << 20));
    }

    /// <summary>The median, in seconds.</summary>
    public double Median(Timed work, int samples = int.MaxValue)
    {
        var warm = Math.Min(_samples, WarmRuns);
        var begin = 0L;
        for (var i = 0; i < warm; i++)
        {
            if (i == warm - 1)
            {
                _gpu.Synchronize();
                begin = Stopwatch.GetTimestamp();
            }
            work.Prepare?.Invoke();
            work.Run();
        }
        _gpu.Synchronize();
        var once = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        var count = Math.Clamp((int)(MostSeconds / Math.Max(once, 1e-6)), Math.Min(_samples, 5), Math.Min(_samples, samples));
        return Floor.Median(Sample(work, count));
    }

    private double[] Sample(Timed work, int count)
    {
        var marks = new (long From, long To)[count];
        _clock.Start();
        for (var i = 0; i < count; i++)
        {
            work.Prepare?.Invoke();
            _gpu.Clear(_flushed.Address, _flushed.Bytes);
            var from = _clock.Mark();
            work.Run();
            marks[i] = (from, _clock.Mark());
        }
        _clock.Stop();
        return [.. marks.Select(m => (_clock.Nanoseconds(m.To) - _clock.Nanoseconds(m.From)) * 1e-9)];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _clock.Dispose();
        _flushed.Release();
    }
}
