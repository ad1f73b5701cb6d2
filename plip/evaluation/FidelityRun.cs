using Plip.Data;
using Plip.Data.World;

namespace Plip.Evaluation;

/// <summary>
/// The colour-word fidelity of a trained colorizer on data with part masks: for each picture the first garment colour of
/// its caption is swapped through the seven colours (but its own), and the mean colour inside the garment's mask must
/// move toward the colour named.
/// </summary>
public static class FidelityRun
{
    private const int FewestPixels = 24; // at the model's size; a smaller patch is mostly border

    /// <summary>Runs the test over at most <paramref name="limit"/> pictures, evenly spread over the split.</summary>
    /// <returns>The figures and the number of pictures that took part.</returns>
    public static (FidelityResult Result, int Pictures) Evaluate(Colorizer colorizer, PersonDataset data, int limit = 200)
    {
        var fidelity = new ColourFidelity();
        var pictures = 0;
        var stride = Math.Max(1, (data.Images.Count + limit - 1) / limit);
        for (var i = 0; i < data.Images.Count; i += stride)
        {
            var image = data.Images[i];
            if (image.Captions.Length == 0 || CaptionSwap.Find(image.Captions[0]) is not { } site) continue;
            if (Mask(data, image, site.Part, colorizer.Width, colorizer.Height) is not { } mask) continue;
            var swaps = CaptionSwap.AllColours(image.Captions[0]).Where(s => s.Colour.Name != site.Basic).ToArray();
            var painted = colorizer.Colorize(image.Load(), [image.Captions[0], .. swaps.Select(s => s.Caption)]);
            for (var k = 0; k < swaps.Length; k++) fidelity.Add(painted[0], painted[k + 1], mask, swaps[k].Colour);
            pictures++;
        }
        return (fidelity.Result(), pictures);
    }

    /// <summary>The garment's pixels at the model's size (nearest neighbour), or null without a mask or with hardly any pixels.</summary>
    private static bool[]? Mask(PersonDataset data, PersonImage image, BodyPart part, int width, int height)
    {
        var path = Path.Combine(data.Root, "masks", Path.ChangeExtension(image.RelativePath, ".png"));
        if (!File.Exists(path)) return null;
        LipLabel[] labels = part switch
        {
            BodyPart.Upper => [LipLabel.UpperClothes, LipLabel.Coat],
            BodyPart.Body => [LipLabel.Dress, LipLabel.Jumpsuits, LipLabel.Coat],
            BodyPart.Lower => [LipLabel.Pants, LipLabel.Skirt],
            BodyPart.Feet => [LipLabel.LeftShoe, LipLabel.RightShoe],
            _ => [],
        };
        var picture = Picture.Load(path);
        var mask = new bool[width * height];
        var count = 0;
        for (var y = 0; y < height; y++)
            for (var x = 0; x < width; x++)
            {
                var from = (y * picture.Height / height * picture.Width + x * picture.Width / width) * 3;
                if (mask[y * width + x] = Array.IndexOf(labels, (LipLabel)picture.Rgb[from]) >= 0) count++;
            }
        return count >= FewestPixels ? mask : null;
    }
}
