using System.Text.Json;
using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;
using Plip.Model;
using Xunit;

namespace Plip.Tests.Weights;

/// <summary>What PyTorch's networks made of fixed inputs (tools/golden/make.py), and the same inputs here.</summary>
internal sealed class GoldenModel : IDisposable
{
    private readonly JsonDocument _expected;

    public GoldenModel(string json) => _expected = JsonDocument.Parse(File.ReadAllText(json));

    public IEnumerable<string> VisualKeys => Keys("visual");

    public IEnumerable<string> TextKeys => Keys("text");

    /// <summary>The configuration of the small golden, that attention pool and pooler included.</summary>
    public static PlipConfig Small => new()
    {
        Name = "golden",
        Image = new ImageConfig { Height = 64, Width = 32 },
        Visual = new ModifiedResNetConfig { Layers = [1, 2, 1, 1], Width = 2, Head = ResNetHead.AttentionPool },
        Text = new BertConfig { Layers = 1, Width = 64, Heads = 4, Intermediate = 64, Positions = 40, MaxTokens = 40, VocabularySize = 128, Pooling = TextPooling.Pooler, Dropout = 0 },
        Tasks = new TasksConfig { Tic = new TicConfig { Channels = 16 } },
    };

    /// <summary>Asserts that a loaded model gives PyTorch's embeddings, as they are and at unit length, to 1e-5 of the largest number or of 1.</summary>
    public void Compare(PlipCheckpoint plip, int heads, double tolerance = 1e-5)
    {
        var image = _expected.RootElement.GetProperty("image");
        var (height, width) = (image.GetProperty("height").GetInt32(), image.GetProperty("width").GetInt32());
        var pictures = Rows(image.GetProperty("embeddings"));
        var pixels = new float[pictures.Length * height * width * 3];
        for (var i = 0L; i < pixels.Length; i++)
        {
            var (c, x, y, n) = (i % 3, i / 3 % width, i / 3 / width % height, i / 3 / width / height);
            var slope = (double)((y * (n + 1) + x * (2 * n + 1) + 29 * c * (n + 1)) % 64) / 32 - 1;
            pixels[i] = (float)(((double)(i * 7919 % 2003) / 1001 - 1) / 4 + slope);
        }
        using (plip.Device.BeginStep(recordGradients: false))
        {
            var x = Tensor.From(plip.Device, pixels, new Shape(pictures.Length, height, width, 3));
            Check.Close([.. pictures.SelectMany(r => r)], plip.Model.Visual.Forward(x).ToArray(), tolerance, "picture embeddings");
            Check.Close([.. pictures.SelectMany(Unit)], plip.Model.EmbedImages(x).ToArray(), tolerance, "picture embeddings of unit length");
        }

        var text = _expected.RootElement.GetProperty("text");
        var captions = text.GetProperty("tokens").EnumerateArray().Select(c => c.EnumerateArray().Select(t => t.GetInt32()).ToArray()).ToArray();
        var offsets = new int[captions.Length + 1];
        for (var i = 0; i < captions.Length; i++) offsets[i + 1] = offsets[i] + captions[i].Length;
        var expected = Rows(text.GetProperty(FormattableString.Invariant($"heads{heads}")));
        using (plip.Device.BeginStep(recordGradients: false))
        {
            var packed = PackedText.From(plip.Device, captions.SelectMany(c => c).ToArray(), offsets);
            var pooled = plip.Model.Textual.Pool(plip.Model.Textual.Forward(packed, new DropoutStream(0, 0)), packed);
            Check.Close([.. expected.SelectMany(r => r)], pooled.ToArray(), tolerance, "text embeddings");
            Check.Close([.. expected.SelectMany(Unit)], plip.Model.EmbedText(packed).ToArray(), tolerance, "text embeddings of unit length");
        }
        // Weights that made all rows alike would compare as well: what tells them apart is far above the tolerance.
        Assert.All([pictures, expected], rows => Assert.True(rows[0].Zip(rows[1], (a, b) => Math.Abs(a - b)).Max() > 1000 * tolerance, "the golden's rows are all alike"));
    }

    public void Dispose() => _expected.Dispose();

    private IEnumerable<string> Keys(string encoder) => _expected.RootElement.GetProperty("keys").GetProperty(encoder).EnumerateArray().Select(k => k.GetString()!);

    private static double[][] Rows(JsonElement rows) => [.. rows.EnumerateArray().Select(r => r.EnumerateArray().Select(v => v.GetDouble()).ToArray())];

    private static IEnumerable<double> Unit(double[] row)
    {
        var length = Math.Sqrt(row.Sum(v => v * v));
        return row.Select(v => v / length);
    }
}
