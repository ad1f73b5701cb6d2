using System.CommandLine;
using Plip.Data;
using Plip.Evaluation;
using Plip.Model;

namespace Plip.Tool;

/// <summary><c>plip colorize</c>: a picture made gray and painted in the colours a caption names.</summary>
internal static class ColorizeCommand
{
    public static Command Create()
    {
        var (checkpoint, device, threads) = (new CheckpointOption(), Options.Device(), Options.Threads());
        var image = new Option<string>("--image") { Description = "The picture; only its gray values are used.", Required = true };
        var text = new Option<string>("--text") { Description = "The caption.", Required = true };
        var swap = new Option<string?>("--swap") { Description = "Colours, separated by commas, that replace the caption's first garment colour one after the other." };
        var output = new Option<string>("--out") { Description = "The PNG to write: gray, painted, each swap, original, side by side.", DefaultValueFactory = _ => "colorized.png" };
        var command = new Command("colorize", "Paint a gray picture in the colours that a caption names (the paper's recolouring figure).") { checkpoint, image, text, swap, output, device, threads };
        checkpoint.AddCompanions(command);
        command.SetAction(p =>
        {
            using var engine = Options.Open(p.GetValue(device)!, p.GetValue(threads));
            using var plip = checkpoint.Open(p, engine);
            if (plip.Model.Task<Tasks.TicTask>() == null) throw new UsageException($"{plip.Path} was trained without the colorization task");
            var caption = p.GetValue(text)!;
            var captions = new List<string> { caption };
            if (p.GetValue(swap) is { } list)
            {
                var site = CaptionSwap.Find(caption) ?? throw new UsageException($"--swap: no garment of \"{caption}\" has a colour word to replace");
                captions.AddRange(list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(c => CaptionSwap.Replace(caption, site, c)));
            }
            var colorizer = new Colorizer(plip);
            var picture = Picture.Load(p.GetValue(image)!);
            var (colour, gray) = colorizer.Prepare(picture);
            float[][] row = [gray, .. colorizer.Colorize(picture, captions), colour];
            Strip(colorizer, row).SavePng(p.GetValue(output)!);
            Console.Out.WriteLine($"{p.GetValue(output)}: gray, {string.Join(", ", captions.Select(c => $"\"{c}\""))}, original");
            return 0;
        });
        return command;
    }

    private static Picture Strip(Colorizer colorizer, float[][] row)
    {
        var (h, w) = (colorizer.Height, colorizer.Width);
        var bytes = new byte[h * w * row.Length * 3];
        for (var i = 0; i < row.Length; i++)
        {
            var picture = colorizer.ToPicture(row[i]).Rgb;
            for (var y = 0; y < h; y++) picture.AsSpan(y * w * 3, w * 3).CopyTo(bytes.AsSpan((y * row.Length + i) * w * 3));
        }
        return new Picture(w * row.Length, h, bytes);
    }
}
