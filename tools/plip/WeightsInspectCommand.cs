using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Plip.Engine;
using Plip.Weights;

namespace Plip.Tool;

/// <summary><c>plip weights inspect</c>: what a file of weights holds. Nothing of it is executed, whatever it says.</summary>
internal static class WeightsInspectCommand
{
    private const int ShownValues = 40;

    public static Command Create()
    {
        var path = new Argument<string>("file") { Description = "A .pth, .pth.tar, .pt, .bin or .safetensors file, an index of several, a checkpoint, or a folder with one." };
        var json = new Option<string?>("--json") { Description = "Write all of it to this file as well." };
        var command = new Command("inspect", "Say what a file of weights is and list its tensors. Nothing in it is executed.") { path, json };
        command.SetAction(p =>
        {
            using var file = WeightsFile.Open(p.GetValue(path)!);
            var what = Description(file);
            Print(Console.Out, file, what);
            if (p.GetValue(json) is { } to) Write(to, file, what);
            return 0;
        });
        return command;
    }

    /// <summary>Where it seems to come from; of a file that leaves it open, why.</summary>
    private static string Description(WeightsFile file)
    {
        try
        {
            return KnownWeights.Of(file).Description;
        }
        catch (FileFormatException e)
        {
            return e.Problem;
        }
    }

    private static void Print(TextWriter o, WeightsFile file, string what)
    {
        o.WriteLine($"{file.Path}: {Format(file.Format)}");
        o.WriteLine($"  seems to be  {what}");
        o.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  tensors      {file.Tensors.Count}, {Elements(file):#,0} numbers, {Bytes(file) / 1e6:#,0.0} MB ({Types(file)})"));
        foreach (var path in file.Ignored) o.WriteLine($"  left out     {(path.Length == 0 ? "all of it" : Printable.Text(path))}: an optimiser's state");
        foreach (var (key, value) in file.Metadata.OrderBy(m => m.Key, StringComparer.Ordinal)) o.WriteLine($"  metadata     {Printable.Text(key)}: {Printable.Text(value)}");
        foreach (var (key, value) in file.Values.Take(ShownValues)) o.WriteLine($"  value        {Printable.Text(key)}: {Printable.Text(value)}");
        if (file.Values.Count > ShownValues) o.WriteLine(FormattableString.Invariant($"  value        … and {file.Values.Count - ShownValues} more"));
        o.WriteLine();
        foreach (var line in WeightsTree.Lines(file.Tensors)) o.WriteLine(line);
    }

    private static void Write(string path, WeightsFile file, string what)
    {
        using var stream = File.Create(path);
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteString("file", file.Path);
        json.WriteString("format", file.Format.ToString());
        json.WriteString("seems_to_be", what);
        json.WriteNumber("parameters", Elements(file));
        json.WriteNumber("bytes", Bytes(file));
        json.WriteStartArray("tensors");
        foreach (var (name, tensor) in file.Tensors)
        {
            json.WriteStartObject();
            json.WriteString("name", name);
            json.WriteString("dtype", tensor.StoredType);
            json.WriteStartArray("shape");
            foreach (var extent in tensor.Shape.ToArray()) json.WriteNumberValue(extent);
            json.WriteEndArray();
            json.WriteNumber("bytes", tensor.StoredBytes);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        Strings("metadata", file.Metadata.OrderBy(m => m.Key, StringComparer.Ordinal));
        Strings("values", file.Values);
        json.WriteStartArray("left_out");
        foreach (var ignored in file.Ignored) json.WriteStringValue(ignored);
        json.WriteEndArray();
        json.WriteEndObject();

        void Strings(string name, IEnumerable<KeyValuePair<string, string>> pairs)
        {
            json.WriteStartArray(name);
            foreach (var (key, value) in pairs)
            {
                json.WriteStartObject();
                json.WriteString("name", key);
                json.WriteString("value", value);
                json.WriteEndObject();
            }
            json.WriteEndArray();
        }
    }

    private static long Elements(WeightsFile file) => file.Tensors.Sum(t => t.Value.Shape.Count);

    private static long Bytes(WeightsFile file) => file.Tensors.Sum(t => t.Value.StoredBytes);

    private static string Types(WeightsFile file) =>
        file.Tensors.Count == 0 ? "none" : string.Join(", ", file.Tensors.Select(t => t.Value.StoredType).Distinct().Order(StringComparer.Ordinal));

    private static string Format(WeightsFormat format) => format switch
    {
        WeightsFormat.SafeTensors => "safetensors",
        WeightsFormat.Checkpoint => "a checkpoint of this program (safetensors), whole by its SHA-256",
        WeightsFormat.Torch => "PyTorch's archive (torch.save)",
        WeightsFormat.TorchScript => "a TorchScript archive; its code is not read",
        _ => "an index of several files",
    };
}
