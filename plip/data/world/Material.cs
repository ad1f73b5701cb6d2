using System.Numerics;

namespace Plip.Data.World;

/// <summary>Details that only some surfaces have.</summary>
internal enum Detail { None, Face, Umbrella }

/// <summary>
/// How a surface looks, as a function of its coordinates: u in turns (½ is the front), v in body heights, so that a stripe
/// is as wide on a sleeve as on a chest.
/// </summary>
internal sealed class Material(Fabric fabric, Rgb colour)
{
    public Fabric Fabric { get; } = fabric;
    public Rgb Colour { get; } = colour;
    public Rgb Colour2 { get; init; } = colour;
    public Pattern Pattern { get; init; }
    public Detail Detail { get; init; }
    public uint Seed { get; init; }
    /// <summary>Mean circumference in body heights: turns u into a length.</summary>
    public float Girth { get; init; } = .3f;
    /// <summary>Strength of folds, 0 for none.</summary>
    public float Folds { get; init; }
    /// <summary>v at the surface's lower and upper end; for two-tone, blocks, logos and hems.</summary>
    public (float Low, float High) Span { get; init; }
    public Front Front { get; init; }
    /// <summary>Backpack straps over the chest: their colour.</summary>
    public Rgb? Straps { get; init; }
    /// <summary>For a face: beard or lips, and eyewear.</summary>
    public Rgb? Beard { get; init; }
    public Eyewear Eyewear { get; init; }

    /// <summary>The surface's own colour at (u, v), before light.</summary>
    public Rgb Albedo(float u, float v, out LipLabel? label)
    {
        label = null;
        if (Detail == Detail.Face) return FaceColour(u, v, out label);
        var across = (u - .5f) * Girth;
        var height = Span.High > Span.Low ? (v - Span.Low) / (Span.High - Span.Low) : .5f;
        var colour = Patterned(u, v, across, height);
        var side = MathF.Abs(u - .5f);
        if (Front != Front.None) colour = FrontLine(colour, across, height, side, v);
        if (Straps is { } strap && height > .42f && MathF.Abs(side - .145f) < .022f) colour = strap;
        switch (Fabric)
        {
            case Fabric.Denim:
                // Worn paler over thigh, seat and knee, darker along the seams.
                var fade = Noise.Value(Seed, u * 6, v * 14) * .5f + MathF.Max(0, MathF.Cos((u - .5f) * MathF.Tau * 2)) * .35f * Noise.Value(Seed + 1, u * 2, v * 5 + 3);
                colour = colour.Scale(.86f + .34f * fade);
                if (MathF.Abs(side - .25f) < .012f) colour = colour.Scale(.8f);
                break;
            case Fabric.Hair:
                colour = colour.Scale(.72f + .6f * Noise.Value(Seed, u * 60, v * 14));
                break;
            case Fabric.Knit:
                colour = colour.Scale(.90f + .2f * Noise.Value(Seed, across * 160, v * 160));
                break;
            case Fabric.Wool:
                colour = colour.Scale(.94f + .12f * Noise.Value(Seed, across * 220, v * 220));
                break;
        }
        if (Detail == Detail.Umbrella && MathF.Abs(u * 8 - MathF.Round(u * 8)) < .04f) colour = colour.Scale(.7f);
        return colour;
    }

    private Rgb Patterned(float u, float v, float across, float height)
    {
        switch (Pattern)
        {
            case Pattern.Striped:
                var period = .022f + .035f * Noise.Hash(Seed, 3, 1);
                var duty = .3f + .25f * Noise.Hash(Seed, 4, 1);
                return v / period - MathF.Floor(v / period) < duty ? Colour2 : Colour;
            case Pattern.Pinstriped:
                var thin = across / .018f - MathF.Floor(across / .018f);
                return thin < .28f ? Colour.Mix(Colour2, .75f) : Colour;
            case Pattern.Checked:
                var size = .024f + .026f * Noise.Hash(Seed, 5, 1);
                var a = (across + 4) / size - MathF.Floor((across + 4) / size) < .42f;
                var b = v / size - MathF.Floor(v / size) < .42f;
                return a && b ? Colour2 : a || b ? Colour.Mix(Colour2, .5f) : Colour;
            case Pattern.TwoTone:
                return height > .66f ? Colour2 : Colour;
            case Pattern.ColourBlock:
                return height < .42f ? Colour2 : Colour;
            case Pattern.Logo:
                var wide = .028f + .022f * Noise.Hash(Seed, 6, 1);
                var x = across / wide;
                var y = (height - .66f) / (.06f + .10f * Noise.Hash(Seed, 7, 1));
                if (MathF.Abs(u - .5f) > .22f) return Colour;
                var inside = Noise.Hash(Seed, 8, 1) < .5f ? x * x + y * y < 1 : MathF.Abs(x) < 1 && MathF.Abs(y) < .7f;
                return inside && Noise.Value(Seed, across * 140, v * 140) > .3f ? Colour2 : Colour;
            case Pattern.Print:
                var scale = 50 + 60 * Noise.Hash(Seed, 9, 1);
                return Noise.Value(Seed, across * scale, v * scale) > .66f ? Colour2 : Colour;
            case Pattern.SideStripe:
                return MathF.Abs(MathF.Abs(u - .5f) - .25f) * Girth < .009f ? Colour2 : Colour;
            default:
                return Colour;
        }
    }

    private Rgb FrontLine(Rgb colour, float across, float height, float side, float v)
    {
        if (side > .2f) return colour;
        var x = MathF.Abs(across);
        switch (Front)
        {
            case Front.Zip:
                return x < .0035f ? colour.Mix(new Rgb(.5f, .5f, .5f), .35f).Scale(.75f) : colour;
            case Front.Buttons:
                if (x < .0022f) return colour.Scale(.78f);
                return x < .005f && v / .045f - MathF.Floor(v / .045f) < .16f ? colour.Mix(new Rgb(.8f, .8f, .8f), .4f) : colour;
            case Front.Placket:
                return height > .74f && x < .004f ? colour.Scale(.75f) : colour;
            case Front.Lapels:
                // The lapel's edge is a dark V from the button up to the shoulders.
                if (height < .5f) return x < .0025f ? colour.Scale(.7f) : colour;
                var edge = (height - .5f) * .13f;
                return MathF.Abs(x - edge) < .004f ? colour.Scale(.68f) : colour;
            default:
                return colour;
        }
    }

    private Rgb FaceColour(float u, float v, out LipLabel? label)
    {
        label = null;
        var colour = Colour;
        var d = u - .5f;
        var side = MathF.Abs(d);
        if (Beard is { } beard && v < -.22f && side < .26f - .1f * MathF.Max(0, v + .4f)) colour = colour.Mix(beard, .75f);
        if (side < .30f)
        {
            float Spot(float du, float v0, float su, float sv)
            {
                var a = (side - du) / su;
                var b = (v - v0) / sv;
                return MathF.Exp(-a * a - b * b);
            }
            var dark = .62f * Spot(.085f, .08f, .040f, .09f) + .45f * Spot(.085f, .26f, .05f, .05f) + .30f * Spot(0, -.26f, .035f, .06f);
            var red = .5f * Spot(0, -.50f, .060f, .055f);
            colour = colour.Scale(1 - dark);
            colour = colour.Mix(new Rgb(colour.R * .85f, colour.G * .55f, colour.B * .52f), red);
            if (Eyewear != Eyewear.None && MathF.Abs(v - .08f) < .16f && side < .2f)
            {
                label = LipLabel.Sunglasses;
                var rim = MathF.Max(MathF.Abs(side - .085f) / .075f, MathF.Abs(v - .08f) / .16f);
                if (Eyewear == Eyewear.Sunglasses) colour = rim < 1 || MathF.Abs(v - .12f) < .03f ? new Rgb(.06f, .06f, .07f) : colour;
                else if ((rim > .68f && rim < 1.05f) || (side < .012f && MathF.Abs(v - .12f) < .03f)) colour = new Rgb(.12f, .11f, .12f);
            }
            else if (Eyewear != Eyewear.None && MathF.Abs(v - .12f) < .035f) colour = colour.Scale(.35f);
        }
        return colour;
    }

    /// <summary>The way folds tilt the surface at (u, v): offsets along u and v, to be added to the normal.</summary>
    public Vector2 Tilt(float u, float v, float creases)
    {
        if (Folds == 0) return default;
        var across = (u - .5f) * Girth;
        if (Fabric == Fabric.Puffer)
        {
            var q = v / .042f;
            var t = q - MathF.Floor(q) - .5f; // across one quilted tube: bulges, then dives into the seam
            return new Vector2(.3f * (Noise.Value(Seed, across * 60, v * 60) - .5f), t * 2.2f * MathF.Abs(t) * 2);
        }
        // Long folds that run aslant: stretched noise, differenced along both axes.
        float sx = 22, sy = 11, slant = (Noise.Hash(Seed, 2, 7) - .5f) * 1.6f;
        float x = across * sx + v * sy * slant, y = v * sy + creases;
        var n = Noise.Value(Seed, x, y);
        var dx = Noise.Value(Seed, x + .35f, y) - n;
        var dy = Noise.Value(Seed, x, y + .35f) - n;
        float fx = across * 70 + creases, fy = v * 48;
        var fine = Noise.Value(Seed + 9, fx, fy);
        // The noise does not close round the tube: folds die away towards the seam at the back.
        var fade = MathF.Min(1, (.5f - MathF.Abs(u - .5f)) * 12);
        return Folds * fade * new Vector2(1.9f * dx + .22f * (fine - .5f), 1.9f * dy + .5f * (Noise.Value(Seed + 9, fx, fy + .4f) - fine));
    }
}
