using Plip.Data.World;
using Xunit;

namespace Plip.Tests.Data.World;

public class CaptionerTests
{
    private static readonly Plip.Data.World.World Small = new(new WorldOptions { Identities = 1000, Seed = 11, TestIdentities = 0, Height = 64 });

    private static readonly HashSet<string> Glue = [.. "a an the and with in of to or over that is at it up front side down on chest above below plain dark light coloured striped stripes horizontal vertical thin pinstriped checked plaid checkered shoulders sleeves two-tone logo print graphic patterned printed stripe pair open raised".Split(' ')];

    private static readonly HashSet<string> Colours = [.. Shades.All.SelectMany(s => s.Words).SelectMany(w => w.Split(' ')).Concat(Shades.All.Select(s => s.Basic)).Except(["coloured", "light", "dark", "bright", "pale", "washed", "faded", "mid", "army", "sky", "baby", "bottle", "forest", "fair", "hot", "jet", "royal", "deep", "sand", "denim"])];

    private static HashSet<string> Allowed(PersonAppearance p, string slot)
    {
        Garment? Of() => slot switch { "upper" => p.Upper, "inner" => p.Inner, "lower" => p.Lower, "shoes" => p.Shoes, "hat" => p.Hat, "bag" => p.Bag, "object" => p.Held, "scarf" => p.Scarf, _ => null };
        IEnumerable<string> Words(Shade s) => s.Words.Append(s.Basic);
        var words = slot switch
        {
            "hair" => Words(p.HairShade).Concat(["hair short long very closely cropped shoulder length bobbed medium straight in ponytail tied back pulled bun up curly fluffy bald head no shaved little thinning balding receding beard"]),
            "person" => ["man woman guy gentleman male female pedestrian young person lady girl boy child kid little old elderly older senior stout heavyset large broad slim thin slender dark-skinned"],
            "glasses" => [p.Eyewear == Eyewear.Sunglasses ? "sunglasses" : p.Eyewear == Eyewear.Glasses ? "glasses" : ""],
            _ => Of() is { } g ? Words(g.Shade).Concat(Words(g.Shade2)).Concat(g.Kind.Words).Append(g.Kind.Key == "hood" ? "hood" : "shoes") : [],
        };
        var set = words.SelectMany(w => w.Split(' ')).ToHashSet();
        if (slot is not ("upper" or "inner" or "lower" or "scarf" or "person")) return set.Concat(["dark", "light", "coloured", "the", "a", "up", "raised"]).ToHashSet();
        return set.Concat(Glue).ToHashSet();
    }

    [Fact]
    public void Captions_say_only_what_is_true()
    {
        for (var identity = 0; identity < 400; identity++)
        {
            var image = Small.Render(identity, 0);
            foreach (var caption in image.Captions)
            {
                var rest = caption.Text;
                Assert.NotEmpty(caption.Phrases);
                foreach (var (slot, phrase) in caption.Phrases)
                {
                    Assert.Contains(phrase, caption.Text);
                    var allowed = Allowed(image.Appearance, slot);
                    foreach (var word in phrase.ToLowerInvariant().Split(' ')) Assert.True(allowed.Contains(word), $"identity {identity}: '{word}' of {slot} '{phrase}' in: {caption.Text}");
                    rest = rest.Replace(phrase, "·", StringComparison.Ordinal);
                }
                // Outside the phrases nothing may claim a colour.
                foreach (var word in rest.ToLowerInvariant().Split(' ', ',', '.')) Assert.False(Colours.Contains(word), $"identity {identity}: stray '{word}' in: {caption.Text}");
            }
        }
    }

    [Fact]
    public void Colour_words_are_true_of_the_garments_own_shade()
    {
        // Basic colour names are disjoint, so saying "red" of a garment demands a red shade in it.
        string[] basics = [.. Shades.All.Select(s => s.Basic).Distinct()];
        for (var identity = 0; identity < 300; identity++)
        {
            var image = Small.Render(identity, 1);
            foreach (var (slot, phrase) in image.Captions[1].Phrases.Where(p => p.Slot is "upper" or "lower"))
            {
                var garment = slot == "upper" ? image.Appearance.Upper : image.Appearance.Lower!;
                var own = garment.Shade.Words.Concat(garment.Shade2.Words).Append(garment.Shade.Basic).Append(garment.Shade2.Basic).SelectMany(w => w.Split(' ')).ToHashSet();
                foreach (var basic in basics.Where(b => phrase.Split(' ').Contains(b))) Assert.Contains(basic, own);
            }
        }
    }

    [Fact]
    public void Captions_vary_and_leave_things_out()
    {
        var texts = new HashSet<string>();
        var words = new HashSet<string>();
        int shoes = 0, hair = 0, dark = 0, total = 0;
        for (var identity = 0; identity < 500; identity++)
        {
            var image = Small.Render(identity, 2);
            Assert.Equal(2, image.Captions.Count);
            foreach (var caption in image.Captions)
            {
                total++;
                texts.Add(caption.Text);
                words.UnionWith(caption.Text.ToLowerInvariant().Split([' ', ',', '.'], StringSplitOptions.RemoveEmptyEntries));
                shoes += caption.Phrases.Any(p => p.Slot == "shoes") ? 1 : 0;
                hair += caption.Phrases.Any(p => p.Slot == "hair") ? 1 : 0;
                dark += caption.Text.Contains(" dark ", StringComparison.Ordinal) ? 1 : 0;
                Assert.True(char.IsUpper(caption.Text[0]) && caption.Text.EndsWith('.'), caption.Text);
                Assert.DoesNotContain("  ", caption.Text);
                Assert.DoesNotContain(" a a", caption.Text);
                Assert.DoesNotContain("{", caption.Text);
                Assert.InRange(caption.Text.Split(' ').Length, 4, 64);
            }
        }
        Assert.True(texts.Count > .99 * total);
        Assert.True(words.Count > 250, $"{words.Count} words"); // the sketch had 124
        Assert.InRange(shoes, .3 * total, .8 * total);
        Assert.InRange(hair, .3 * total, .85 * total);
        Assert.InRange(dark, .02 * total, .6 * total);
    }

    [Fact]
    public void The_same_picture_is_told_in_two_styles()
    {
        var (long_, compact) = (0, 0);
        for (var identity = 0; identity < 200; identity++)
        {
            var image = Small.Render(identity, 0);
            Assert.NotEqual(image.Captions[0].Text, image.Captions[1].Text);
            long_ += image.Captions[0].Text.Count(c => c == '.');
            compact += image.Captions[1].Text.Count(c => c == '.');
        }
        Assert.True(long_ > 1.5 * compact);
    }

    [Fact]
    public void The_prompt_caption_has_every_known_attribute_and_no_unknown_one()
    {
        for (var identity = 0; identity < 300; identity++)
        {
            var image = Small.Render(identity, 0);
            foreach (var attribute in image.SixAttributes.Where(a => a != "unknown")) Assert.Contains(attribute, image.Prompt.Text);
            Assert.DoesNotContain("unknown", image.Prompt.Text);
            Assert.DoesNotContain("{", image.Prompt.Text);
            Assert.DoesNotContain("]", image.Prompt.Text);
        }
    }

    [Fact]
    public void Six_attributes_stand_in_order_and_hidden_ones_are_unknown()
    {
        var unknown = new int[6];
        for (var identity = 0; identity < 300; identity++)
        {
            var image = Small.Render(identity, 0);
            var six = image.SixAttributes;
            Assert.Equal(6, six.Count);
            Assert.All(six, a => Assert.DoesNotContain(",", a));
            Assert.Contains(six[0], new[] { "man", "woman", "boy", "girl" });
            Assert.Contains(image.Appearance.Upper.Kind.Words[0], six[2]);
            if (six[3] != "unknown") Assert.Contains(image.Appearance.Lower!.Kind.Words[0], six[3]);
            if (six[4] != "unknown") Assert.Contains(image.Appearance.Shoes.Kind.Words[0], six[4]);
            if (!image.Labels.Contains((byte)LipLabel.LeftShoe) && !image.Labels.Contains((byte)LipLabel.RightShoe)) Assert.Equal("unknown", six[4]);
            for (var k = 0; k < 6; k++) unknown[k] += six[k] == "unknown" ? 1 : 0;
        }
        Assert.Equal(0, unknown[0]);
        Assert.Equal(0, unknown[2]);
        Assert.True(unknown[1] > 0 && unknown[3] > 0 && unknown[4] > 0 && unknown[5] > 0);
    }

    [Fact]
    public void Pedestrian_labels_agree_with_the_appearance()
    {
        var names = Attributes.Pa100k.ToList();
        Assert.Equal(26, names.Count);
        for (var identity = 0; identity < 200; identity++)
        {
            var image = Small.Render(identity, 0);
            bool Has(string name) => image.Pedestrian[names.IndexOf(name)];
            Assert.Equal(26, image.Pedestrian.Count);
            Assert.Single(new[] { Has("Front"), Has("Side"), Has("Back") }, b => b);
            Assert.Single(new[] { Has("AgeOver60"), Has("Age18-60"), Has("AgeLess18") }, b => b);
            Assert.NotEqual(Has("ShortSleeve"), Has("LongSleeve"));
            Assert.Equal(image.Appearance.Female, Has("Female"));
            Assert.Equal(image.Appearance.Hat is not null, Has("Hat"));
            Assert.Equal(image.Appearance.Bag?.Kind.Key == "backpack", Has("Backpack"));
        }
    }
}
