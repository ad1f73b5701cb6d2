using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Plip.Data.World;

/// <summary>One picture's line in the tables; its pixels have been written and let go.</summary>
internal sealed record WorldEntry(string Split, string FilePath, WorldImage Image);

/// <summary>The world's JSON and CSV tables, streamed as pictures are made and given their names only when all is written.</summary>
internal sealed class WorldTables : IDisposable
{
    /// <summary>Present while a world is being made.</summary>
    public const string Unfinished = "UNFINISHED.txt";

    private const string Suffix = ".part";
    private static readonly string[] Names = ["reid_raw.json", "synthpedes_dataset.json", "synthpedes_heldout.json", "garments.json", "attributes_pa100k.csv", "scenes.json"];

    private readonly string directory;
    private readonly Utf8JsonWriter reid, pretrain, heldout, garments;
    private readonly List<IDisposable> open = [];
    private readonly StreamWriter attributes;

    public WorldTables(string directory)
    {
        this.directory = directory;
        foreach (var name in Names) File.Delete(Path.Combine(directory, name));
        reid = Json("reid_raw.json");
        pretrain = Json("synthpedes_dataset.json");
        heldout = Json("synthpedes_heldout.json");
        garments = Json("garments.json", indented: false);
        attributes = new StreamWriter(Path.Combine(directory, "attributes_pa100k.csv" + Suffix), append: false, new UTF8Encoding(false)) { NewLine = "\n" };
        attributes.WriteLine("file_path,split,id," + string.Join(',', Attributes.Pa100k));
    }

    private Utf8JsonWriter Json(string name, bool indented = true)
    {
        var stream = File.Create(Path.Combine(directory, name + Suffix));
        var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = indented, NewLine = "\n", Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        json.WriteStartArray();
        open.Add(json);
        open.Add(stream);
        return json;
    }

    public void Add(WorldEntry entry)
    {
        var image = entry.Image;
        var id = image.Appearance.Identity;
        reid.WriteStartObject();
        reid.WriteString("split", entry.Split);
        reid.WriteNumber("id", id);
        reid.WriteString("file_path", entry.FilePath);
        Strings(reid, "captions", image.Captions.Select(c => c.Text));
        reid.WriteEndObject();

        // SYNTH-PEDES has no splits: whoever reads the file trains on all of it, so unseen identities stand in a file of their own.
        var synth = entry.Split == "train" ? pretrain : heldout;
        synth.WriteStartObject();
        synth.WriteNumber("id", id);
        synth.WriteString("file_path", entry.FilePath);
        Strings(synth, "attributes", [string.Join(',', image.SixAttributes)]);
        Strings(synth, "captions", image.Captions.Select(c => c.Text));
        Strings(synth, "prompt_caption", [image.Prompt.Text]);
        synth.WriteEndObject();

        WriteGarments(entry);
        attributes.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{entry.FilePath},{entry.Split},{id},{string.Join(',', image.Pedestrian.Select(b => b ? '1' : '0'))}"));
        if (reid.BytesPending > 1 << 16)
            foreach (var json in open.OfType<Utf8JsonWriter>()) json.Flush();
    }

    private void WriteGarments(WorldEntry entry)
    {
        var person = entry.Image.Appearance;
        garments.WriteStartObject();
        garments.WriteString("file_path", entry.FilePath);
        garments.WriteString("split", entry.Split);
        garments.WriteNumber("id", person.Identity);
        garments.WriteNumber("camera", entry.Image.Camera.Camera);
        garments.WriteNumber("yaw", MathF.Round(entry.Image.Yaw, 4));
        Garment("upper", person.Upper, (int)person.UpperCut.Label);
        if (person.Open) Garment("inner", person.Inner, (int)LipLabel.UpperClothes);
        if (person.Lower is { } lower) Garment("lower", lower, (int)person.LowerCut!.Label);
        Garment("shoes", person.Shoes, (int)LipLabel.LeftShoe);
        if (person.Hat is { } hat) Garment("hat", hat, (int)LipLabel.Hat);
        if (person.Scarf is { } scarf) Garment("scarf", scarf, (int)LipLabel.Scarf);
        if (person.Bag is { } bag) Garment("bag", bag, 0);
        if (person.Held is { } held) Garment("object", held, 0);
        garments.WriteEndObject();

        void Garment(string slot, Garment garment, int label)
        {
            garments.WriteStartObject(slot);
            garments.WriteString("kind", garment.Kind.Key);
            garments.WriteString("word", garment.Kind.Words[0]);
            garments.WriteString("shade", garment.Shade.Key);
            garments.WriteString("colour_word", garment.Shade.Words[0]);
            garments.WriteString("basic", garment.Shade.Basic);
            garments.WriteString("pattern", garment.Pattern.ToString());
            if (garment.Pattern != Pattern.Plain) garments.WriteString("second_shade", garment.Shade2.Key);
            garments.WriteStartArray("rgb");
            foreach (var channel in (ReadOnlySpan<float>)[garment.Colour.R, garment.Colour.G, garment.Colour.B]) garments.WriteNumberValue((int)(Math.Clamp(channel, 0, 1) * 255 + .5f));
            garments.WriteEndArray();
            garments.WriteNumber("lip_label", label);
            garments.WriteEndObject();
        }
    }

    public void WriteScenes(IReadOnlyList<SceneImage> scenes, Func<int, string> name)
    {
        var json = Json("scenes.json");
        for (var i = 0; i < scenes.Count; i++)
        {
            json.WriteStartObject();
            json.WriteString("file", "scenes/" + name(i));
            json.WriteNumber("width", scenes[i].Width);
            json.WriteNumber("height", scenes[i].Height);
            json.WriteStartArray("boxes");
            foreach (var box in scenes[i].Boxes)
            {
                json.WriteStartObject();
                json.WriteNumber("id", box.Identity);
                json.WriteNumber("x", box.X);
                json.WriteNumber("y", box.Y);
                json.WriteNumber("w", box.Width);
                json.WriteNumber("h", box.Height);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
    }

    private static void Strings(Utf8JsonWriter json, string name, IEnumerable<string> values)
    {
        json.WriteStartArray(name);
        foreach (var value in values) json.WriteStringValue(value);
        json.WriteEndArray();
    }

    /// <summary>Gives every finished table its name.</summary>
    public static void Finish(string directory)
    {
        foreach (var name in Names.Where(n => File.Exists(Path.Combine(directory, n + Suffix))))
            File.Move(Path.Combine(directory, name + Suffix), Path.Combine(directory, name), overwrite: true);
    }

    public void Dispose()
    {
        foreach (var json in open.OfType<Utf8JsonWriter>())
        {
            // After an exception mid-entry the array cannot be closed; the .part file stays behind, unread by anyone.
            if (json.CurrentDepth == 1) json.WriteEndArray();
        }
        foreach (var item in open) item.Dispose();
        attributes.Dispose();
    }
}
