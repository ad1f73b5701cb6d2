using System.CommandLine;
using System.Globalization;
using Plip.Data.World;

namespace Plip.Tool;

/// <summary><c>plip data make</c>: a world of rendered people with captions and truth, as files.</summary>
internal static class DataMakeCommand
{
    public static Command Create()
    {
        var defaults = new WorldOptions();
        var identities = new Option<int>("--identities") { Description = "People in all, test and validation included.", DefaultValueFactory = _ => defaults.Identities };
        var seed = new Option<ulong>("--seed") { Description = "Seed; the same options give the same bytes.", DefaultValueFactory = _ => defaults.Seed };
        var output = new Option<string>("--out") { Description = "Folder to write.", DefaultValueFactory = _ => Path.Combine("out", "world") };
        var images = new Option<int>("--images") { Description = "Pictures of each person.", DefaultValueFactory = _ => defaults.ImagesPerIdentity };
        var height = new Option<int>("--height") { Description = "Height of a picture in pixels, 64 to 512; the width is half of it.", DefaultValueFactory = _ => defaults.Height };
        var test = new Option<int>("--test") { Description = "People of the test split.", DefaultValueFactory = _ => defaults.TestIdentities };
        var val = new Option<int>("--val") { Description = "People of the validation split.", DefaultValueFactory = _ => 100 };
        var scenes = new Option<int>("--scenes") { Description = "Full scenes with several people and boxes.", DefaultValueFactory = _ => 0 };
        var masks = new Option<MaskScope>("--masks") { Description = "Which pictures get LIP part masks.", DefaultValueFactory = _ => defaults.Masks };
        var threads = Options.Threads();
        var command = new Command("make", "Render a world of people with captions, attributes, masks and boxes.") { identities, seed, output, images, height, test, val, scenes, masks, threads };
        command.SetAction(p =>
        {
            using var stop = new StopSignal();
            try
            {
                Make(
                    new WorldOptions
                    {
                        Identities = p.GetValue(identities),
                        Seed = p.GetValue(seed),
                        ImagesPerIdentity = p.GetValue(images),
                        Height = p.GetValue(height),
                        TestIdentities = p.GetValue(test),
                        ValIdentities = p.GetValue(val),
                        Scenes = p.GetValue(scenes),
                        Masks = p.GetValue(masks),
                        Threads = p.GetValue(threads),
                    },
                    p.GetValue(output)!, stop.Token);
            }
            catch (ArgumentException e)
            {
                throw new UsageException(e.Message);
            }
            return 0;
        });
        return command;
    }

    /// <summary>Makes a world, saying how far it is about every tenth.</summary>
    public static void Make(WorldOptions options, string folder, CancellationToken cancellation)
    {
        var watch = System.Diagnostics.Stopwatch.StartNew();
        WorldWriter.Make(options, folder, new Tenths(watch), cancellation);
        var pictures = options.Identities * options.ImagesPerIdentity;
        Console.Out.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"  {folder}: {pictures} pictures of {options.Identities} people, {pictures / watch.Elapsed.TotalSeconds:0} a second"));
    }

    /// <summary>Reports on the thread that makes the world, so lines keep their order.</summary>
    private sealed class Tenths(System.Diagnostics.Stopwatch watch) : IProgress<WorldProgress>
    {
        private int _said;

        public void Report(WorldProgress value)
        {
            var tenth = (int)(10L * value.Images / value.Total);
            if (tenth <= _said || tenth == 10) return;
            _said = tenth;
            var rate = value.Images / watch.Elapsed.TotalSeconds;
            Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {value.Images}/{value.Total} pictures  {rate:0} img/s  ETA {(value.Total - value.Images) / rate:0} s"));
        }
    }
}
