namespace Plip.Engine;

/// <summary>
/// The CPU device's workers. A loop is cut into tasks whose bounds depend on the problem alone, never on the number of
/// threads, and tasks are taken from a counter; so any number of threads gives the same bits and a descheduled worker
/// delays nobody: the caller takes what is left.
/// </summary>
internal sealed class ThreadTeam : IDisposable
{
    // About 20 µs of spinning before a worker sleeps: ops of a training step follow each other faster than a futex wakes.
    private const int SpinsBeforeSleep = 2000;

    private readonly Thread[] _workers;
    private readonly SemaphoreSlim _wake = new(0);
    private readonly Lock _gate = new();
    private readonly ulong[]? _allowed = CpuPlacement.Allowed();
    private volatile Job? _job;
    private int _sleepers;
    private volatile bool _stop;

    public ThreadTeam(int threads)
    {
        Threads = Math.Max(1, threads);
        _workers = new Thread[Threads - 1];
        for (var i = 0; i < _workers.Length; i++)
        {
            _workers[i] = new Thread(Work) { IsBackground = true, Name = $"plip-cpu-{i + 1}" };
            _workers[i].Start();
        }
    }

    public int Threads { get; }

    /// <summary>Runs body(0) … body(count−1), each once, on the team; returns when all are done.</summary>
    public void For(int count, Action<int> body)
    {
        if (count <= 0) return;
        if (count == 1 || Threads == 1)
        {
            for (var i = 0; i < count; i++) body(i);
            return;
        }
        var job = new Job(body, count, CpuPlacement.Current);
        Streams.Fence(); // what this thread streamed in a loop of one task
        _job = job;
        if (Volatile.Read(ref _sleepers) > 0) Wake(Math.Min(count - 1, Threads - 1));
        job.Take();
        _job = null;
        var spin = new SpinWait();
        while (!job.Done) spin.SpinOnce(sleep1Threshold: -1);
        job.Rethrow();
    }

    private void Wake(int count)
    {
        lock (_gate)
        {
            var n = Math.Min(count, _sleepers);
            if (n <= 0) return;
            _sleepers -= n;
            _wake.Release(n);
        }
    }

    private void Work()
    {
        Job? last = null;
        while (true)
        {
            var spins = 0;
            Job? job;
            while ((job = _job) == null || job == last)
            {
                if (_stop) return;
                if (++spins < SpinsBeforeSleep)
                {
                    Thread.SpinWait(8);
                    continue;
                }
                lock (_gate)
                {
                    if (_stop) return;
                    if (_job != null && _job != last) continue;
                    _sleepers++;
                }
                _wake.Wait();
                spins = 0;
            }
            last = job;
            CpuPlacement.Avoid(job.Core, _allowed);
            job.Take();
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _stop = true;
            _wake.Release(_workers.Length + 1);
        }
        foreach (var w in _workers) w.Join();
        _wake.Dispose();
    }

    private sealed class Job(Action<int> body, int count, int core)
    {
        private int _next, _done;
        private Exception? _failure;

        /// <summary>Where the launching thread runs; it takes tasks too.</summary>
        public int Core => core;

        public bool Done => Volatile.Read(ref _done) >= count;

        public void Take()
        {
            int i;
            while ((i = Interlocked.Increment(ref _next) - 1) < count)
            {
                try
                {
                    body(i);
                    Streams.Fence();
                }
                catch (Exception e)
                {
                    Interlocked.CompareExchange(ref _failure, e, null);
                }
                Interlocked.Increment(ref _done);
            }
        }

        public void Rethrow()
        {
            if (_failure != null) System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(_failure);
        }
    }
}
