using System.Buffers;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using Plip.Engine;

namespace Plip.Data;

/// <summary>Settings of <see cref="DataRate"/>.</summary>
public sealed record DataRateSettings
{
    /// <summary>What batches are made of; the sampler and the workers are those of the run.</summary>
    public BatchSettings Batch { get; init; } = new();

    /// <summary>Pictures that each part is measured on, drawn by the batches' seed; all where there are fewer.</summary>
    public int Pictures { get; init; } = 512;

    /// <summary>Passes over them; each picture's median counts, and the first, which meets a cold disk, is shown for reading.</summary>
    public int Passes { get; init; } = 7;

    /// <summary>Seconds for which whole batches are made.</summary>
    public double Seconds { get; init; } = 5;

    /// <summary>Pictures a second that a GPU eats: the cores for it are worked out.</summary>
    public double Target { get; init; } = 2500;
}

/// <summary>One part of making a sample, on one core.</summary>
/// <param name="Name">What is done.</param>
/// <param name="Microseconds">Mean over the pictures of each picture's median over the passes, which leaves out the times when another program had the core.</param>
public sealed record RatePart(string Name, double Microseconds);

/// <summary>How fast batches are made.</summary>
/// <param name="Parts">In the order in which a sample goes through them.</param>
/// <param name="FirstRead">Microseconds of reading a picture in the first pass, when the disk may be cold.</param>
/// <param name="Workers">Threads that made the batches.</param>
/// <param name="PicturesPerSecond">Pictures in whole batches a second, by all workers.</param>
/// <param name="Cores">Cores that the workers kept busy, by the process's own time.</param>
/// <param name="Target">Pictures a second that are wanted.</param>
/// <param name="MeanBytes">Mean size of a picture as stored.</param>
/// <param name="MeanPixels">Mean pixels of a picture as stored.</param>
public sealed record DataRateReport(
    IReadOnlyList<RatePart> Parts, double FirstRead, int Workers, double PicturesPerSecond, double Cores, double Target, double MeanBytes, double MeanPixels)
{
    /// <summary>All parts, microseconds of one core.</summary>
    public double Microseconds => Parts.Sum(p => p.Microseconds);

    /// <summary>Pictures a second and core, from whole batches.</summary>
    public double PerCore => PicturesPerSecond / Math.Max(Cores, 1e-9);

    /// <summary>Cores for the target, rounded up.</summary>
    public int CoresForTarget => (int)Math.Ceiling(Target / Math.Max(PerCore, 1e-9));

    /// <summary>The report as text, lines ended by '\n'.</summary>
    public string ToText()
    {
        var text = new StringBuilder();
        Line($"pictures of {MeanBytes / 1000:0.0} kB and {MeanPixels / 1000:0.0} kilopixels on average; one core:");
        foreach (var part in Parts)
            Line($"  {part.Name,-10} {part.Microseconds,8:0.0} µs {100 * part.Microseconds / Microseconds,5:0.0}% {1e6 / part.Microseconds,10:#,0} a second{(part == Parts[0] ? FormattableString.Invariant($", the first time {1e6 / FirstRead:#,0}") : "")}");
        Line($"  {"all",-10} {Microseconds,8:0.0} µs {100.0,5:0.0}% {1e6 / Microseconds,10:#,0} a second");
        Line($"whole batches by {Workers} worker{(Workers == 1 ? "" : "s")}: {PicturesPerSecond:#,0} pictures a second, {PerCore:#,0} a core and second ({Cores:0.0} cores busy)");
        Line($"a GPU that eats {Target:#,0} pictures a second wants {CoresForTarget} core{(CoresForTarget == 1 ? "" : "s")}");
        return text.ToString();

        void Line(FormattableString line) => text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
    }
}

/// <summary>
/// Measures how fast a data set becomes batches on this machine: each part of the way on one core, then whole batches on worker
/// threads. Other work on the machine makes the figures lower, never higher.
/// </summary>
public static class DataRate
{
    private static readonly string[] Names = ["read", "decode", "resize", "normalise", "tokenise"];

    /// <summary>Measures; takes the time of some passes over the sample, and the settings' seconds.</summary>
    /// <param name="data">The pictures.</param>
    /// <param name="encoder">Captions to tokens.</param>
    /// <param name="settings">How much to measure.</param>
    /// <exception cref="DataException">A picture or caption cannot be used.</exception>
    public static DataRateReport Measure(PersonDataset data, ICaptionEncoder encoder, DataRateSettings settings)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(settings.Pictures);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(settings.Passes);
        var sample = QuickCheck.Spread(data.Images.Count, settings.Pictures, new Philox(settings.Batch.Seed, 0xD7000000));
        var transform = new ImageTransform(settings.Batch.Image);
        var (resized, floats) = (new byte[transform.Size], new float[transform.Size]);
        var times = new long[Names.Length, sample.Length, settings.Passes];
        double bytes = 0, pixels = 0;
        for (var p = 0; p < settings.Passes; p++)
        {
            (bytes, pixels) = (0, 0);
            for (var s = 0; s < sample.Length; s++)
            {
                var index = sample[s];
                var image = data.Images[index];
                var t0 = Stopwatch.GetTimestamp();
                var (file, start, length) = BatchFiller.ReadPicture(data, image);
                var t1 = Stopwatch.GetTimestamp();
                using var picture = Picture.BorrowDecoded(file.AsSpan(start, length), image.FullPath);
                var t2 = Stopwatch.GetTimestamp();
                transform.Resize(picture, resized);
                var t3 = Stopwatch.GetTimestamp();
                // Each second one flipped, as training's default has it.
                transform.Normalise(resized, new Augmentation(index % 2 == 0, 0, 0), floats);
                var t4 = Stopwatch.GetTimestamp();
                if (image.TextCount > 0) Tokenise(encoder, settings.Batch, image, index, p);
                var t5 = Stopwatch.GetTimestamp();
                ArrayPool<byte>.Shared.Return(file);
                (bytes, pixels) = (bytes + length, pixels + (double)picture.Width * picture.Height);
                (times[0, s, p], times[1, s, p], times[2, s, p], times[3, s, p], times[4, s, p]) = (t1 - t0, t2 - t1, t3 - t2, t4 - t3, t5 - t4);
            }
        }
        var (rate, cores) = Whole(data, encoder, settings);
        return new DataRateReport(
            [.. Names.Select((name, part) => new RatePart(name, Mean(s => Median([.. Enumerable.Range(0, settings.Passes).Select(p => times[part, s, p])]))))], Mean(s => times[0, s, 0]),
            settings.Batch.Workers, rate, cores, settings.Target, bytes / sample.Length, pixels / sample.Length);

        double Mean(Func<int, double> ticks) => Enumerable.Range(0, sample.Length).Average(ticks) * 1e6 / Stopwatch.Frequency;
    }

    private static void Tokenise(ICaptionEncoder encoder, BatchSettings settings, PersonImage image, int index, int pass)
    {
        var caption = image.Text((index + pass) % image.TextCount); // another one each pass, as in training's epochs
        encoder.Encode(caption, settings.MaxTokens);
        encoder.EncodeMasked(caption, settings.MaxTokens, .5f, RandomStreams.Masking(settings.Seed, pass, index));
    }

    /// <summary>Pictures a second in whole batches, and how many cores that took.</summary>
    private static (double Rate, double Cores) Whole(PersonDataset data, ICaptionEncoder encoder, DataRateSettings settings)
    {
        var batch = settings.Batch with { BatchSize = Math.Min(settings.Batch.BatchSize, data.Images.Count), CacheBytes = 0 };
        using var loader = new BatchLoader(data, encoder, batch, _ => .5f);
        using var process = Process.GetCurrentProcess();
        // The batches that lie ready are made before the clock starts, and as many are left when it stops.
        for (var i = 0; i <= batch.Ahead; i++) loader.Next().Dispose();
        process.Refresh();
        var (watch, busy, pictures) = (Stopwatch.StartNew(), process.TotalProcessorTime, 0L);
        do
        {
            loader.Next().Dispose();
            pictures += batch.BatchSize;
        }
        while (watch.Elapsed.TotalSeconds < settings.Seconds);
        var seconds = watch.Elapsed.TotalSeconds;
        process.Refresh();
        return (pictures / seconds, (process.TotalProcessorTime - busy).TotalSeconds / seconds);
    }

    private static double Median(long[] values)
    {
        Array.Sort(values);
        return (values[(values.Length - 1) / 2] + values[values.Length / 2]) / 2.0;
    }
}
