using System.Diagnostics;
using Plip.Configs;
using Plip.Data;
using Plip.Engine;
using Plip.Model;

namespace Plip.Training;

/// <summary>
/// Times a few real batches on a model of its own, which is gone afterwards: what is measured leaves no trace in the run, not
/// even in batch norm's running statistics.
/// </summary>
internal static class StepProbe
{
    private const int First = 4, Measured = 3;

    /// <summary>Pairs measured, how many times, and pairs and pictures a second.</summary>
    internal readonly record struct Result(int Batch, int Steps, double PairsPerSecond, double LoadedPerSecond);

    /// <summary>Measures for about so many seconds; longer only where two batches of four pairs and an update take longer.</summary>
    internal static Result Run(Device device, PlipConfig config, PersonDataset train, ICaptionEncoder captions, double seconds)
    {
        var training = config.Training;
        var model = new PlipModel(config);
        using var store = model.Materialize(device);
        using var optimizer = Recipe.Optimizer(training, store);
        using var scaler = Recipe.Scaler(training, device);
        if (device is CudaDevice gpu) gpu.AllowTf32 = training.Tf32; // as the trainer will
        model.Train();
        var size = Math.Min(First, training.BatchSize);
        var steps = 1;
        var batch = Batches(size, 2)[^1];
        if (size < training.BatchSize)
        {
            // As large a batch as the time allows: small ones leave processors idle.
            var larger = (int)Math.Min(training.BatchSize, Math.Max(size, size * seconds / 2 / (batch * (Measured + 1))));
            if (larger > size) (size, steps, batch) = (larger, Measured, Median(Batches(larger, Measured + 1)[1..]));
        }
        Update();
        var update = Update();
        var step = training.Accumulation * batch * training.BatchSize / size + update;
        return new Result(size, steps, training.Accumulation * (double)training.BatchSize / step, Loading(config, train, captions, seconds / 4));

        // Seconds of each of so many batches; the first has compiling in it.
        double[] Batches(int pairs, int count)
        {
            var settings = Trainer.BatchSettings(config, 0) with { BatchSize = pairs, Kind = BatchKind.Random };
            using var loader = new BatchLoader(train, captions, settings, _ => 0.5f);
            using var runner = new StepRunner(model, device, scaler);
            var times = new double[count];
            for (var i = 0; i < count; i++)
            {
                using var next = loader.Next();
                var start = Stopwatch.GetTimestamp();
                store.ZeroGrad();
                runner.Run(next, 1f / training.Accumulation);
                times[i] = Stopwatch.GetElapsedTime(start).TotalSeconds;
            }
            return times;
        }

        double Update()
        {
            var start = Stopwatch.GetTimestamp();
            var norm = GradientClip.Measure(store, scaler: scaler);
            optimizer.Step(0, norm); // the arithmetic of any rate
            _ = norm.Norm; // a GPU is done when this can be read
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
    }

    /// <summary>Pictures a second that the loader makes while nothing else runs, in the run's own order.</summary>
    private static double Loading(PlipConfig config, PersonDataset train, ICaptionEncoder captions, double seconds)
    {
        var settings = Trainer.BatchSettings(config, 0);
        // Batches of a few pictures would measure the queue; those of a large run would take minutes where a disk is slow.
        if (settings.Kind != BatchKind.PxK) settings = settings with { BatchSize = Math.Min(settings.BatchSize, 32) };
        using var loader = new BatchLoader(train, captions, settings, _ => 0.5f);
        for (var i = 0; i <= settings.Ahead; i++) loader.Next().Dispose(); // what lies ready is no measure
        var (start, pictures) = (Stopwatch.GetTimestamp(), 0L);
        do
        {
            loader.Next().Dispose();
            pictures += settings.BatchSize;
        }
        while (Stopwatch.GetElapsedTime(start).TotalSeconds < seconds);
        return pictures / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static double Median(double[] values)
    {
        Array.Sort(values);
        return values[values.Length / 2];
    }
}
