using Plip.Data.World;
using Xunit;

namespace Plip.Tests.Data.World;

public class WorldTests
{
    private static readonly Plip.Data.World.World Small = new(new WorldOptions { Identities = 400, Seed = 7, TestIdentities = 0 });

    [Fact]
    public void Same_seed_gives_the_same_bytes_and_another_seed_others()
    {
        var again = new Plip.Data.World.World(Small.Options);
        var other = new Plip.Data.World.World(Small.Options with { Seed = 8 });
        for (var identity = 0; identity < 6; identity++)
        {
            var image = Small.Render(identity, identity % 3);
            Assert.Equal(image.EncodeJpeg(), again.Render(identity, identity % 3).EncodeJpeg());
            Assert.Equal(image.Labels, again.Render(identity, identity % 3).Labels);
            Assert.Equal(image.Captions[0].Text, again.Render(identity, identity % 3).Captions[0].Text);
            Assert.NotEqual(image.Rgb, other.Render(identity, identity % 3).Rgb);
            Assert.NotEqual(image.Rgb, Small.Render(identity, identity % 3 + 1).Rgb);
        }
    }

    [Fact]
    public void A_picture_does_not_depend_on_what_was_rendered_before()
    {
        var first = new Plip.Data.World.World(Small.Options).Render(30, 1).Rgb;
        for (var i = 0; i < 5; i++) Small.Render(i, 0);
        Assert.Equal(first, Small.Render(30, 1).Rgb);
    }

    [Fact]
    public void An_identity_keeps_its_clothes_and_changes_camera_and_view()
    {
        for (var identity = 0; identity < 20; identity++)
        {
            var images = Enumerable.Range(0, 5).Select(i => Small.Render(identity, i)).ToList();
            Assert.All(images, i => Assert.Equal(images[0].Appearance, i.Appearance));
            Assert.Equal(5, images.Select(i => i.Camera.Camera).Distinct().Count());
            Assert.True(images.Select(i => MathF.Round(i.Yaw, 2)).Distinct().Count() > 3);
            Assert.Equal(5, images.Select(i => Convert.ToHexString(i.Rgb)).Distinct().Count());
        }
    }

    [Theory]
    [InlineData(64)]
    [InlineData(128)]
    [InlineData(256)]
    [InlineData(512)]
    public void Sizes_are_as_asked(int height)
    {
        var image = new Plip.Data.World.World(Small.Options with { Height = height }).Render(3, 0);
        Assert.Equal((height / 2, height), (image.Width, image.Height));
        Assert.Equal(height * height / 2 * 3, image.Rgb.Length);
        using var decoded = SkiaSharp.SKBitmap.Decode(image.EncodeJpeg());
        Assert.Equal((height / 2, height), (decoded.Width, decoded.Height));
    }

    [Fact]
    public void Labels_are_LIPs_and_show_a_person_of_reasonable_size()
    {
        var seen = new HashSet<byte>();
        for (var identity = 0; identity < 150; identity++)
        {
            var image = Small.Render(identity, 0);
            Assert.All(image.Labels, l => Assert.InRange(l, (byte)LipLabel.Background, (byte)LipLabel.RightShoe));
            seen.UnionWith(image.Labels);
            var person = image.Labels.Count(l => l != 0) / (double)image.Labels.Length;
            Assert.InRange(person, .05, .75); // occluders and large bags take a share away
        }
        // Every class but jumpsuits, which nobody here wears.
        Assert.Equal(19, seen.Count);
        Assert.DoesNotContain((byte)LipLabel.Jumpsuits, seen);
    }

    [Fact]
    public void The_upper_garments_pixels_have_the_colour_of_its_shade()
    {
        var errors = new List<float>();
        var chance = 0f;
        for (var identity = 0; identity < 300; identity++)
        {
            var image = Small.Render(identity, 0);
            var person = image.Appearance;
            var label = (byte)(((UpperKind)person.Upper.Kind).Label);
            // With an inner top of the same label, or a pattern, the mean is a mixture.
            if (person.Upper.Pattern != Pattern.Plain || person.Open || image.Labels.Count(l => l == label) < 300) continue;
            var mean = Mean(image, label);
            var want = person.Upper.Colour;
            var error = MathF.Sqrt(((mean.R - want.R) * (mean.R - want.R) + (mean.G - want.G) * (mean.G - want.G) + (mean.B - want.B) * (mean.B - want.B)) / 3);
            errors.Add(error);
            // The same picture against another identity's colour: what chance would give.
            var wrong = PersonAppearance.Sample(7, identity + 1).Upper.Colour;
            chance += MathF.Sqrt(((mean.R - wrong.R) * (mean.R - wrong.R) + (mean.G - wrong.G) * (mean.G - wrong.G) + (mean.B - wrong.B) * (mean.B - wrong.B)) / 3);
        }
        // Light, exposure, white balance and contrast of the cameras move a colour by a tenth or so each.
        Assert.True(errors.Count > 80);
        Assert.True(errors.Average() < .12, $"mean error {errors.Average()}");
        Assert.True(errors.Count(e => e > .3f) < .04 * errors.Count, $"{errors.Count(e => e > .3f)} of {errors.Count} far off");
        Assert.True(errors.Average() < .5 * chance / errors.Count);
    }

    private static Rgb Mean(WorldImage image, byte label)
    {
        double r = 0, g = 0, b = 0;
        var n = 0;
        for (var i = 0; i < image.Labels.Length; i++)
        {
            if (image.Labels[i] != label) continue;
            r += image.Rgb[i * 3];
            g += image.Rgb[i * 3 + 1];
            b += image.Rgb[i * 3 + 2];
            n++;
        }
        return new Rgb((float)(r / n / 255), (float)(g / n / 255), (float)(b / n / 255));
    }

    [Fact]
    public void Colours_come_from_their_shades()
    {
        for (var identity = 0; identity < 400; identity++)
        {
            var p = PersonAppearance.Sample(7, identity);
            Assert.All(new[] { p.Upper, p.Inner, p.Lower, p.Shoes, p.Hat, p.Scarf, p.Bag, p.Held }.OfType<Garment>(), g =>
            {
                Assert.True(g.Shade.Contains(g.Colour), $"{g.Kind.Key} {g.Shade.Key} {g.Colour}");
                Assert.True(g.Shade2.Contains(g.Colour2));
                if (g.Pattern != Pattern.Plain) Assert.NotEqual(g.Shade.Basic, g.Shade2.Basic);
            });
        }
    }

    [Fact]
    public void Everything_in_the_wardrobe_and_palette_is_worn_by_somebody()
    {
        var kinds = new HashSet<string>();
        var shades = new HashSet<string>();
        var patterns = new HashSet<Pattern>();
        var hair = new HashSet<HairStyle>();
        for (var identity = 0; identity < 6000; identity++)
        {
            var p = PersonAppearance.Sample(3, identity);
            foreach (var g in new[] { p.Upper, p.Lower, p.Shoes, p.Hat, p.Bag, p.Held }.OfType<Garment>())
            {
                kinds.Add(g.Kind.Key);
                shades.Add(g.Shade.Key);
                patterns.Add(g.Pattern);
            }
            shades.Add(p.HairShade.Key);
            hair.Add(p.HairStyle);
        }
        Assert.Equal(Wardrobe.All.Select(k => k.Kind.Key).Order(), kinds.Order());
        Assert.Equal(Shades.All.Select(s => s.Key).Order(), shades.Order());
        Assert.Equal(Enum.GetValues<Pattern>().Length, patterns.Count);
        Assert.Equal(Enum.GetValues<HairStyle>().Length, hair.Count);
        // The prototype sketch had 7 upper and 4 lower kinds, 3 bags, 2 hats and 26 shades.
        Assert.True(Wardrobe.All.Count(k => k.Slot == "upper") >= 25);
        Assert.True(Wardrobe.All.Count(k => k.Slot == "lower") >= 12);
        Assert.True(Shades.All.Count >= 32);
    }

    [Fact]
    public void All_views_occur()
    {
        var quadrant = new int[8];
        for (var identity = 0; identity < 200; identity++) quadrant[(int)((Small.Render(identity, 1).Yaw / MathF.Tau + 2) * 8) % 8]++;
        Assert.All(quadrant, n => Assert.True(n >= 8));
    }

    [Fact]
    public void Scenes_hold_people_inside_their_boxes()
    {
        var boxes = 0;
        for (var i = 0; i < 6; i++)
        {
            var scene = Small.RenderScene(i);
            Assert.Equal(scene.Rgb, Small.RenderScene(i).Rgb);
            for (var b = 0; b < scene.Boxes.Count; b++)
            {
                var box = scene.Boxes[b];
                Assert.True(box.X >= 0 && box.Y >= 0 && box.X + box.Width <= scene.Width && box.Y + box.Height <= scene.Height);
                var inside = 0;
                for (var y = 0; y < scene.Height; y++)
                {
                    for (var x = 0; x < scene.Width; x++)
                    {
                        if (scene.People[y * scene.Width + x] != b + 1) continue;
                        Assert.True(x >= box.X && x < box.X + box.Width && y >= box.Y && y < box.Y + box.Height);
                        inside++;
                    }
                }
                Assert.True(inside >= 250 && inside >= .1 * box.Width * box.Height);
                boxes++;
            }
        }
        Assert.True(boxes >= 12);
    }

    [Fact]
    public void Wrong_options_are_named()
    {
        var error = Assert.Throws<ArgumentException>(() => new Plip.Data.World.World(new WorldOptions { Height = 63 }));
        Assert.Contains("Height is 63", error.Message);
        Assert.Throws<ArgumentException>(() => new Plip.Data.World.World(new WorldOptions { Identities = 10, TestIdentities = 11 }));
        Assert.Throws<ArgumentException>(() => new Plip.Data.World.World(new WorldOptions { ImagesPerIdentity = 0 }));
    }
}
