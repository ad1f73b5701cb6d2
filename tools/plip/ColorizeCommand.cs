using System.CommandLine;
using System.Text.Json;
using Plip.Data;
using Plip.Evaluation;
using Plip.Model;

namespace Plip.Tool;

/// <summary><c>plip colorize</c>: a picture made gray and painted in the colours a caption names: the paper's recolouring figure.</summary>
internal static class ColorizeCommand
{
    private static readonly BodyPart[] Garments = [BodyPart.Upper, BodyPart.Lower, BodyPart.Body, BodyPart.Feet, BodyPart.Head, BodyPart.Bag];

    public static Command Create()
    {
        var names = string.Join(", ", Garments.Select(Recolouring.Name));
        var (checkpoint, device, threads) = (new CheckpointOption(), Options.Device(), Options.Threads());
        var image = new Option<string>("--image") { Description = "The picture, of any size; only its gray values are painted on.", Required = true };
        var text = new Option<string[]>("--text") { Description = "The caption; given several times, a row of the figure for each.", Required = true };
        var swap = new Option<string?>("--swap") { Description = "Colours, separated by commas, that replace the colour words of a garment one after the other." };
        var garment = new Option<string?>("--garment") { Description = $"Whose colour --swap changes: {names}; without it the first of upper, body, lower, feet that has one." };
        var height = new Option<int>("--height") { Description = "Height of a panel in pixels; its width follows from the picture. The model paints at its own size, which is enlarged to this.", DefaultValueFactory = _ => 192 };
        var output = new Option<string>("--out") { Description = "The PNG to write: for each caption gray, painted, each swap, original, side by side and labelled.", DefaultValueFactory = _ => "colorized.png" };
        var json = new Option<string?>("--json") { Description = "Write captions and the panels' mean Lab colours about trunk and legs to this file." };
        var command = new Command("colorize", "Paint a gray picture in the colours that a caption names (the paper's recolouring figure).") { checkpoint, image, text, swap, garment, height, output, json, device, threads };
        checkpoint.AddCompanions(command);
        command.SetAction(p =>
        {
            BodyPart? part = p.GetValue(garment) is not { } name ? null
                : Array.Find(Garments, g => Recolouring.Name(g) == name) is var found && found != BodyPart.None ? found
                : throw new UsageException($"--garment is {name}; expected one of {names}");
            if (part != null && p.GetValue(swap) == null) throw new UsageException("--garment goes with --swap");
            Options.Range(p.GetValue(height), 32, 2048, "--height");
            var colours = p.GetValue(swap)?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) ?? [];
            if (p.GetValue(swap) != null && colours.Length == 0) throw new UsageException("--swap names no colour");
            foreach (var colour in colours)
                if (CaptionColours.Read($"a {colour} coat").Count == 0) // the model may know the word all the same
                    Console.Error.WriteLine($"--swap: \"{colour}\" is no colour word this program knows; it is painted as the model takes it");
            using var engine = Options.Open(p.GetValue(device)!, p.GetValue(threads));
            using var plip = checkpoint.Open(p, engine);
            if (plip.Model.Task<Tasks.TicTask>() == null) throw new UsageException($"{plip.Path} has no decoder to colorize with: it was trained without the colorization task, or holds the encoders alone, as the released checkpoint does");
            var colorizer = new Colorizer(plip);
            var picture = Picture.Load(p.GetValue(image)!);
            RecolouredRow[] rows;
            try
            {
                rows = [.. p.GetValue(text)!.Select(caption => Recolouring.Paint(colorizer, picture, caption, colours, part, p.GetValue(height)))];
            }
            catch (ArgumentException e)
            {
                throw new UsageException($"--swap: {e.Message}");
            }
            var figure = Recolouring.Figure(rows);
            figure.SavePng(p.GetValue(output)!);
            if (p.GetValue(json) is { } path) Write(path, rows, plip);
            Console.Out.WriteLine($"{p.GetValue(output)}: {figure.Width}×{figure.Height}");
            foreach (var row in rows) Console.Out.WriteLine($"  {string.Join(", ", row.Panels.Select(panel => panel.Caption.Length > 0 ? $"\"{panel.Caption}\"" : panel.Label))}");
            return 0;
        });
        return command;
    }

    private static void Write(string path, RecolouredRow[] rows, PlipCheckpoint plip)
    {
        using var stream = File.Create(path);
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteString("checkpoint", plip.Hash);
        json.WriteStartArray("rows");
        foreach (var row in rows)
        {
            json.WriteStartObject();
            json.WriteString("caption", row.Caption);
            json.WriteString("garment", row.Site?.Garment);
            json.WriteString("words", row.Site?.Words);
            json.WriteStartArray("panels");
            foreach (var panel in row.Panels)
            {
                json.WriteStartObject();
                json.WriteString("label", panel.Label);
                json.WriteString("caption", panel.Caption);
                Colour(json, "upper", panel.Upper);
                Colour(json, "lower", panel.Lower);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Colour(Utf8JsonWriter json, string name, Lab lab)
    {
        json.WriteStartArray(name);
        foreach (var value in (ReadOnlySpan<float>)[lab.L, lab.A, lab.B]) json.WriteNumberValue(MathF.Round(value, 2) + 0f); // −0 becomes 0
        json.WriteEndArray();
    }
}
