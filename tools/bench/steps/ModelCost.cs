using Plip.Configs;
using Plip.Encoders;

namespace Plip.Bench;

/// <summary>
/// The operations of PLIP's convolutions and products, counted from the configuration; everything else is small beside
/// them. What is trained costs three times its forward, less the picture's own gradient, which nobody asks for.
/// </summary>
internal static class ModelCost
{
    /// <summary>Operations of the picture encoder's forward, for so many pictures.</summary>
    public static double Pictures(PlipConfig config, int count)
    {
        var (visual, image) = ((ModifiedResNetConfig)config.Visual, config.Image);
        var w = visual.Width;
        var sum = Stem(config) + 2 * Pixels(image, 1) * 9 * (w / 2.0 * w / 2 + w / 2.0 * w);
        var from = w;
        for (var s = 0; s < 4; s++)
        {
            var planes = w << s;
            for (var b = 0; b < visual.Layers[s]; b++)
            {
                var (at, after) = (Pixels(image, b == 0 && s > 0 ? 1 + s : 2 + s), Pixels(image, 2 + s));
                sum += 2 * (at * from * planes + at * 9.0 * planes * planes + after * 4.0 * planes * planes);
                if (b == 0) sum += 2 * after * from * 4 * planes;
                from = 4 * planes;
            }
        }
        return count * (sum + 2.0 * from * config.Text.Width);
    }

    /// <summary>Operations of a stack of blocks over captions of these lengths, forward.</summary>
    public static double Blocks(BertConfig text, int layers, int[] lengths)
    {
        var (c, inner) = ((double)text.Width, (double)(text.Intermediate > 0 ? text.Intermediate : 4 * text.Width));
        return layers * lengths.Sum(l => l * (8 * c * c + 4 * c * inner) + 4.0 * l * l * c);
    }

    /// <summary>Operations of a training step of all three tasks.</summary>
    public static double Step(PlipConfig config, SyntheticBatch batch)
    {
        var (text, n) = (config.Text, batch.Size);
        var lengths = batch.Offsets.Zip(batch.Offsets.Skip(1), (a, b) => b - a).ToArray();
        double frozen = Blocks(text, text.FrozenLayers, lengths), trained = Blocks(text, text.Layers - text.FrozenLayers, lengths);
        var attributes = Blocks(text, config.Tasks.Iap.Layers, lengths) + 2.0 * batch.Places.Length * text.Width * text.VocabularySize;
        // Colour and gray pass; full and masked captions.
        return 2 * (3 * Pictures(config, n) - n * Stem(config)) + 2 * (frozen + 3 * trained) + 3 * (attributes + n * Decoder(config));
    }

    private static double Stem(PlipConfig config) => 2 * Pixels(config.Image, 1) * 9 * 3 * ((ModifiedResNetConfig)config.Visual).Width / 2;

    private static double Decoder(PlipConfig config)
    {
        double w = ((ModifiedResNetConfig)config.Visual).Width, c = config.Tasks.Tic.Channels, quarter = c / 4, at = Pixels(config.Image, 2);
        // Stage s has w·4·2ˢ channels.
        var lateral = Enumerable.Range(0, 4).Sum(s => 2 * Pixels(config.Image, 2 + s) * w * 4 * Math.Pow(2, s) * quarter);
        var squeeze = 2 * ((c + config.Text.Width) * c + c * c + (quarter + config.Text.Width) * quarter + quarter * quarter);
        return lateral + squeeze + 2 * at * 9 * c * quarter + 2 * 4 * at * 9 * quarter * 3;
    }

    /// <summary>Pixels after so many halvings; a pool leaves out an odd rest.</summary>
    private static double Pixels(ImageConfig image, int halvings) => (double)(image.Height >> halvings) * (image.Width >> halvings);
}
