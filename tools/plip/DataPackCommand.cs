using System.CommandLine;
using System.Globalization;
using Plip.Data;

namespace Plip.Tool;

/// <summary><c>plip data pack</c>: a data set as tar shards.</summary>
internal static class DataPackCommand
{
    private static readonly (string Unit, double Bytes)[] Units =
        [("TiB", 1L << 40), ("GiB", 1L << 30), ("MiB", 1L << 20), ("KiB", 1L << 10), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1)];

    public static Command Create()
    {
        var directory = new Argument<string>("directory") { Description = "The data set: a folder of any layout, or shards." };
        var output = new Argument<string>("out") { Description = "The folder of shards to write; it must not be there yet." };
        var size = new Option<string>("--shard-size") { Description = "Size of a shard, such as 1GB or 500MB; an identity is never divided.", DefaultValueFactory = _ => "1GB" };
        var layout = new Option<DatasetLayout>("--layout") { Description = "Which annotation file to read where a folder holds several; Auto takes SYNTH-PEDES, which has attributes and often the training pictures only.", DefaultValueFactory = _ => DatasetLayout.Auto };
        var splitFile = Options.SplitFile();
        var command = new Command("pack", "Write a data set as tar shards (WebDataset style), identity after identity; the same data give the same bytes.") { directory, output, size, layout, splitFile };
        command.SetAction(p =>
        {
            var bytes = Bytes(p.GetValue(size)!);
            using var stop = new StopSignal("deleting what was written");
            var data = PersonDataset.Load(p.GetValue(directory)!, p.GetValue(layout), p.GetValue(splitFile));
            var watch = System.Diagnostics.Stopwatch.StartNew();
            var packed = ShardPacker.Pack(data, p.GetValue(output)!, bytes, new Tenths(watch), stop.Token);
            // The index is made now, from the archives themselves: what was written can be read.
            var read = PersonDataset.Load(p.GetValue(output)!);
            Console.Out.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{p.GetValue(output)}: {packed.Images:#,0} pictures of {read.Identities.Length:#,0} people in {packed.Shards} shard{(packed.Shards == 1 ? "" : "s")}, {packed.Bytes / 1e6:#,0.0} MB"));
            return 0;
        });
        return command;
    }

    private static long Bytes(string text)
    {
        foreach (var (unit, factor) in Units)
        {
            if (!text.EndsWith(unit, StringComparison.OrdinalIgnoreCase)) continue;
            if (double.TryParse(text[..^unit.Length].TrimEnd(), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number) && number * factor is >= 100_000 and <= 1e15 and var bytes) return (long)bytes;
            break;
        }
        throw new UsageException($"--shard-size is \"{text}\"; expected a size with its unit from 100kB on, such as 1GB, 500MB or 2GiB");
    }

    private sealed class Tenths(System.Diagnostics.Stopwatch watch) : IProgress<PackProgress>
    {
        private int _said;

        public void Report(PackProgress value)
        {
            var tenth = (int)(10L * value.Images / value.Total);
            if (tenth <= _said || tenth == 10) return;
            _said = tenth;
            var rate = value.Images / watch.Elapsed.TotalSeconds;
            Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {value.Images:#,0}/{value.Total:#,0} pictures  {rate:#,0} img/s  ETA {(value.Total - value.Images) / rate:0} s"));
        }
    }
}
