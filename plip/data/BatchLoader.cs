using System.Runtime.ExceptionServices;

namespace Plip.Data;

/// <summary>
/// Training batches, made on background threads ahead of the step. Step s is the same batch to the bit for any number of
/// workers, any timing and any starting point.
/// </summary>
/// <remarks>
/// A worker takes the next step's number and a free buffer in one move, so the lowest unfinished step always has a
/// buffer and nothing can wait in a circle. Memory: Workers + Ahead + Held batches. Batches go on epoch after epoch.
/// <c>using var loader = …; while (…) { using var batch = loader.Next(); … }</c>
/// </remarks>
public sealed class BatchLoader : IDisposable
{
    private readonly BatchFiller filler;
    private readonly BatchSettings settings;
    private readonly CancellationTokenSource stop = new();
    private readonly Thread[] workers;
    private readonly object gate = new(); // a monitor: workers and the consumer wait on it
    private readonly Stack<Batch> free = [];
    private readonly HashSet<Batch> lent = [];
    private readonly Dictionary<long, (Batch Batch, Exception? Error)> ready = [];
    private ExceptionDispatchInfo? failure;
    private long nextToMake, nextToGive;
    private bool failed;

    /// <summary>Starts loading.</summary>
    /// <param name="data">The training images.</param>
    /// <param name="encoder">Captions to tokens; called from the workers.</param>
    /// <param name="settings">Sizes, seed, threads.</param>
    /// <param name="maskProbability">Probability of masking a phrase at a step of the run; called from the workers, some steps
    /// ahead and perhaps past the last one, so it depends on nothing but the step.</param>
    /// <param name="startStep">The first step to give: epoch · <see cref="BatchesPerEpoch"/> + batch index.</param>
    /// <exception cref="DataException">The batch is larger than the data, or an entry has no or an empty caption.</exception>
    public BatchLoader(PersonDataset data, ICaptionEncoder encoder, BatchSettings settings, Func<long, float> maskProbability, long startStep = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(startStep);
        this.settings = settings;
        filler = new BatchFiller(data, encoder, settings, maskProbability);
        nextToMake = nextToGive = startStep;
        for (var i = 0; i < settings.Workers + settings.Ahead + settings.Held; i++)
            free.Push(new Batch(settings.BatchSize, filler.ImageSize, settings.MaxTokens, GiveBack));
        workers = [.. Enumerable.Range(0, settings.Workers).Select(i => new Thread(Work) { IsBackground = true, Name = $"batch loader {i}" })];
        foreach (var worker in workers) worker.Start();
    }

    /// <summary>Whole batches in an epoch.</summary>
    public int BatchesPerEpoch => filler.Sampler.BatchesPerEpoch;

    /// <summary>The step that <see cref="Next"/> gives next.</summary>
    public long Position
    {
        get { lock (gate) return nextToGive; }
    }

    /// <summary>The next batch, waiting for it if need be. Dispose it when done.</summary>
    /// <exception cref="DataException">A picture of this batch is missing or broken; earlier batches were given out. The
    /// loader gives no more after it.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled; the loader can go on.</exception>
    /// <exception cref="InvalidOperationException">More than <see cref="BatchSettings.Held"/> batches are held.</exception>
    public Batch Next(CancellationToken cancellation = default)
    {
        cancellation.ThrowIfCancellationRequested();
        using var wake = cancellation.Register(() => { lock (gate) Monitor.PulseAll(gate); });
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(stop.IsCancellationRequested, this);
            failure?.Throw();
            if (lent.Count >= settings.Held)
                throw new InvalidOperationException($"{lent.Count} batches are held; dispose one first, or raise BatchSettings.Held");
            while (!ready.ContainsKey(nextToGive))
            {
                cancellation.ThrowIfCancellationRequested();
                Monitor.Wait(gate);
                ObjectDisposedException.ThrowIf(stop.IsCancellationRequested, this);
            }
            ready.Remove(nextToGive, out var made);
            if (made.Error is not null)
            {
                failure = ExceptionDispatchInfo.Capture(made.Error);
                failure.Throw();
            }
            nextToGive++;
            lent.Add(made.Batch);
            Monitor.PulseAll(gate);
            return made.Batch;
        }
    }

    /// <summary>Stops the workers and waits for them: at most the time of one picture each.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            if (stop.IsCancellationRequested) return;
            stop.Cancel();
            Monitor.PulseAll(gate);
        }
        foreach (var worker in workers) worker.Join();
        filler.Dispose();
    }

    private void Work()
    {
        while (true)
        {
            Batch batch;
            long step;
            lock (gate)
            {
                // Bounding steps in flight, not only buffers, keeps Held buffers out of the workers' reach.
                while (!stop.IsCancellationRequested && !failed && (free.Count == 0 || nextToMake - nextToGive >= settings.Ahead + settings.Workers))
                    Monitor.Wait(gate);
                if (stop.IsCancellationRequested || failed) return;
                (batch, step) = (free.Pop(), nextToMake++);
            }
            Exception? error = null;
            try
            {
                filler.Fill(batch, step, stop.Token);
            }
            catch (Exception e)
            {
                error = e; // whatever it is: the consumer gets it, at this step, as it was thrown
            }
            lock (gate)
            {
                ready.Add(step, (batch, error));
                failed |= error is not null;
                Monitor.PulseAll(gate);
            }
        }
    }

    private void GiveBack(Batch batch)
    {
        lock (gate)
        {
            if (!lent.Remove(batch)) return;
            free.Push(batch);
            Monitor.PulseAll(gate);
        }
    }
}
