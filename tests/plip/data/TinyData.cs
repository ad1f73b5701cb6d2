using System.Text.Json;
using Plip.Data;
using Plip.Engine;

namespace Plip.Tests.Data;

/// <summary>A data set of a few real JPEG files in a folder of its own, gone when disposed.</summary>
public sealed class TinyData : IDisposable
{
    public TinyData() => Directory.CreateDirectory(Root);

    public string Root { get; } = Path.Combine(Path.GetTempPath(), "plip-" + Guid.NewGuid().ToString("N"));

    public string At(string relative) => Path.Combine(Root, relative);

    public string Write(string relative, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(At(relative))!);
        File.WriteAllText(At(relative), text);
        return At(relative);
    }

    /// <summary>A picture whose every pixel depends on <paramref name="number"/> and its place.</summary>
    public static Picture Paint(int number, int width = 20, int height = 40)
    {
        var rgb = new byte[3 * width * height];
        for (var y = 0; y < height; y++)
            for (var x = 0; x < width; x++)
                for (var c = 0; c < 3; c++)
                    rgb[3 * (y * width + x) + c] = (byte)(128 + 100 * Math.Sin(.2 * (x + 1) * (c + 1) + .1 * y + number));
        return new Picture(width, height, rgb);
    }

    /// <summary>CUHK-PEDES layout: identity i (numbered 10, 20, …) has i % 3 + 2 pictures of two captions; the last is the test split.</summary>
    public TinyData WithCuhkPedes(int identities = 5)
    {
        var entries = new List<string>();
        for (var i = 0; i < identities; i++)
            for (var n = 0; n < i % 3 + 2; n++)
            {
                var path = $"p{i}/{n}.jpg";
                Directory.CreateDirectory(At($"imgs/p{i}"));
                Paint(7 * i + n, 16 + i, 40 + n).SaveJpeg(At("imgs/" + path));
                entries.Add(Entry(10 * (i + 1), path, i == identities - 1 ? "test" : "train", $"a person in coat {i}", $"picture {n} of walker {i} with a bag"));
            }
        Write("reid_raw.json", Json(entries));
        return this;
    }

    public static string Json(IEnumerable<string> entries) => "[\n" + string.Join(",\n", entries) + "\n]\n";

    public static string Entry(int id, string path, string? split, params string[] captions) =>
        $"{{\"split\": {(split is null ? "null" : $"\"{split}\"")}, \"id\": {id}, \"file_path\": \"{path}\", \"captions\": [{Quoted(captions)}], \"processed_tokens\": [[\"a\", {{\"b\": [1]}}]]}}";

    public static string Quoted(IEnumerable<string> texts) => string.Join(", ", texts.Select(t => $"\"{JsonEncodedText.Encode(t)}\""));

    public void Dispose() => Directory.Delete(Root, recursive: true);
}

/// <summary>A real, small encoder: one token per word (a hash of its letters), [CLS] 101, [SEP] 102, words masked by chance.</summary>
public sealed class WordEncoder : ICaptionEncoder
{
    public int[] Encode(string caption, int maxTokens) =>
        [101, .. caption.Split(' ').Take(maxTokens - 2).Select(w => 1000 + w.Aggregate(0, (h, c) => (h * 31 + c) % 20000)), 102];

    public (int[] ids, int[] labels) EncodeMasked(string caption, int maxTokens, float maskProbability, Philox random)
    {
        var ids = Encode(caption, maxTokens);
        var labels = new int[ids.Length];
        Array.Fill(labels, -100);
        for (var i = 1; i < ids.Length - 1; i++)
            if (random.Uniform((ulong)i) < maskProbability)
                (labels[i], ids[i]) = (ids[i], 103);
        return (ids, labels);
    }
}
