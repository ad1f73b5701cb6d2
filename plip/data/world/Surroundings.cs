using System.Numerics;

namespace Plip.Data.World;

internal enum Ground { Asphalt, Paving, Grass, Road, Floor, Cobbles }

internal enum Backdrop { None, Wall, Brick, Shop, Glass, Hedge, Railings, Car }

/// <summary>The place one camera watches: ground, what stands behind, and its light. Each picture sees another piece of it.</summary>
internal sealed record Surroundings
{
    public Ground Ground { get; init; }
    public Backdrop Backdrop { get; init; }
    public Rgb GroundColour { get; init; }
    public Rgb SecondGround { get; init; }
    public Rgb WallColour { get; init; }
    public Rgb WallTrim { get; init; }
    public float WallDistance { get; init; }
    public float Sun { get; init; }
    public uint Seed { get; init; }

    public static Surroundings Sample(Draw draw)
    {
        var ground = draw.Pick<Ground>([Ground.Asphalt, Ground.Asphalt, Ground.Paving, Ground.Paving, Ground.Grass, Ground.Road, Ground.Floor, Ground.Cobbles]);
        var backdrop = draw.Pick<Backdrop>([Backdrop.None, Backdrop.Wall, Backdrop.Wall, Backdrop.Brick, Backdrop.Shop, Backdrop.Glass, Backdrop.Hedge, Backdrop.Railings, Backdrop.Car]);
        Rgb Greyish(float low, float high) => Rgb.FromHsv(draw.Range(20, 260), draw.Range(0, .12f), draw.Range(low, high));
        return new Surroundings
        {
            Ground = ground,
            Backdrop = backdrop,
            GroundColour = ground switch
            {
                Ground.Grass => Rgb.FromHsv(draw.Range(70, 105), draw.Range(.35f, .6f), draw.Range(.3f, .55f)),
                Ground.Floor => Rgb.FromHsv(draw.Range(15, 60), draw.Range(.03f, .35f), draw.Range(.5f, .85f)),
                _ => Greyish(.42f, .82f),
            },
            SecondGround = draw.Chance(.4) ? Rgb.FromHsv(draw.Range(76, 110), draw.Range(.3f, .55f), draw.Range(.3f, .5f)) : Greyish(.3f, .8f),
            WallColour = draw.Chance(.5) ? Rgb.FromHsv(draw.Range(10, 50), draw.Range(.05f, .5f), draw.Range(.4f, .85f)) : Rgb.FromHsv(draw.Range(0, 360), draw.Range(0, .3f), draw.Range(.2f, .9f)),
            WallTrim = Rgb.FromHsv(draw.Range(0, 360), draw.Range(0, .6f), draw.Range(.1f, .9f)),
            WallDistance = draw.Range(.5f, 6),
            Sun = ground == Ground.Floor || draw.Chance(.55) ? draw.Range(.08f, .25f) : draw.Range(.3f, .55f),
            Seed = draw.Bits(),
        };
    }

    /// <summary>
    /// Paints ground and backdrop for one picture; <paramref name="draw"/> chooses where in the place it is. Without
    /// <paramref name="figures"/> no unnamed people are sketched far off: a scene's boxes must be all the people there are.
    /// </summary>
    public void Paint(Canvas picture, View view, Draw draw, bool figures = true)
    {
        var shift = new Vector2(draw.Range(-40, 40), draw.Range(-40, 40));
        var away = WallDistance * draw.Range(.6f, 1.6f);
        var skew = draw.Range(-.3f, .3f);
        var edgeAngle = draw.Range(-1.2f, 1.2f);
        var edgeAt = draw.Range(-1.5f, 1.5f);
        var brightness = draw.Range(.88f, 1.12f);
        var unit = view.Scale * view.Distance;
        var (sin, cos) = MathF.SinCos(view.Pitch);
        var horizonY = view.Y - unit * MathF.Tan(view.Pitch);
        for (var y = 0; y < picture.Height; y++)
        {
            var q = (view.Y - y - .5f) / unit;
            var z = (q * view.Distance + .5f * q * sin + .5f * cos) / (q * cos - sin);
            var ground = q * cos - sin < -1e-3f && z < view.Distance * .9f;
            var reach = ground ? view.Distance - (z * cos - .5f * sin) : 1;
            for (var x = 0; x < picture.Width; x++)
            {
                var gx = (x + .5f - view.X) / unit * reach;
                var wallZ = -away + gx * skew;
                if (Backdrop == Backdrop.None ? ground || horizonY < y : ground && z > wallZ)
                    picture.Set(x, y, GroundAt(gx + shift.X, (ground ? z : -60) + shift.Y, edgeAngle, edgeAt, gx, z).Scale(brightness));
                else
                {
                    var depth = view.Distance + away * cos;
                    var wx = (x + .5f - view.X) / unit * depth;
                    // Height above the wall's foot, by the same ray met at the wall's distance.
                    var foot = view.Project(new Vector3(0, 0, -away + wx * skew)).Y;
                    picture.Set(x, y, WallAt(wx + shift.X, (foot - y) / unit * depth, y < horizonY, picture.Height).Scale(brightness));
                }
            }
        }
        Clutter(picture, draw, figures);
    }

    private Rgb GroundAt(float x, float z, float angle, float at, float lx, float lz)
    {
        var second = lx * MathF.Cos(angle) + lz * MathF.Sin(angle) - at;
        var kind = Ground;
        var colour = GroundColour;
        if (second > 0 && kind != Ground.Floor)
        {
            colour = SecondGround;
            if (colour.G > colour.R * 1.12f) kind = Ground.Grass;
            if (second < .09f) return new Rgb(.72f, .71f, .68f).Scale(.9f + .2f * Noise.Value(Seed, x * 40, z * 40)); // the kerb
        }
        var broad = Noise.Value(Seed, x * .9f, z * .9f) - .5f;
        var fine = Noise.Value(Seed + 1, x * 34, z * 34) - .5f;
        var mid = Noise.Value(Seed + 2, x * 7, z * 7) - .5f;
        var f = 1 + .16f * broad + .10f * mid + .14f * fine;
        if (colour.G > colour.R * 1.12f) f += .30f * fine + .12f * mid; // grass is rough
        switch (kind)
        {
            case Ground.Paving:
                float tx = x / .38f, tz = z / .38f;
                var joint = MathF.Min(tx - MathF.Floor(tx), tz - MathF.Floor(tz));
                f *= .95f + .1f * Noise.Hash(Seed, (int)MathF.Floor(tx), (int)MathF.Floor(tz));
                if (joint < .05f) f *= .78f;
                break;
            case Ground.Cobbles:
                float cx = x / .10f + .5f * (((int)MathF.Floor(z / .10f)) & 1), cz = z / .10f;
                f *= .84f + .3f * Noise.Hash(Seed, (int)MathF.Floor(cx), (int)MathF.Floor(cz));
                if (MathF.Min(cx - MathF.Floor(cx), cz - MathF.Floor(cz)) < .14f) f *= .8f;
                break;
            case Ground.Floor:
                float fx = x / .6f, fz = z / .6f;
                if (MathF.Min(fx - MathF.Floor(fx), fz - MathF.Floor(fz)) < .02f) f *= .82f;
                f = 1 + (f - 1) * .45f;
                break;
            case Ground.Road:
                var line = MathF.Abs(second + .5f);
                if (line < .03f || MathF.Abs(second + .62f) < .03f) return new Rgb(.86f, .78f, .36f).Scale(f);
                break;
        }
        return colour.Scale(f);
    }

    private Rgb WallAt(float x, float h, bool overHorizon, int height)
    {
        var grain = .93f + .14f * Noise.Value(Seed + 5, x * 9, h * 9);
        switch (Backdrop)
        {
            case Backdrop.Brick:
                var row = (int)MathF.Floor(h / .045f);
                var bx = x / .13f + .5f * (row & 1);
                var mortar = h / .045f - row < .16f || bx - MathF.Floor(bx) < .07f;
                return mortar ? WallColour.Mix(new Rgb(.7f, .68f, .64f), .6f) : WallColour.Scale(.8f + .3f * Noise.Hash(Seed, (int)MathF.Floor(bx), row));
            case Backdrop.Shop:
                if (h < .22f) return WallTrim.Scale(grain * .8f);
                var bay = x / 1.1f - MathF.Floor(x / 1.1f);
                if (bay < .07f || h is > 1.25f and < 1.5f) return WallTrim.Scale(grain);
                return h > 1.5f ? WallColour.Scale(grain) : new Rgb(.25f, .28f, .30f).Mix(WallColour, .55f * Noise.Value(Seed + 7, x * 3, h * 3)).Scale(.6f + .9f * Noise.Value(Seed + 8, x * 8, h * 6));
            case Backdrop.Glass:
                float px = x / .55f, ph = h / .8f;
                if (MathF.Min(px - MathF.Floor(px), ph - MathF.Floor(ph)) < .06f) return WallTrim.Scale(.7f);
                return new Rgb(.45f, .52f, .56f).Scale(.6f + .7f * Noise.Value(Seed + 7, x * 2 + h, h * 2));
            case Backdrop.Hedge:
                if (h > 1.1f) return new Rgb(.8f, .85f, .9f).Mix(WallColour, .3f);
                var leaf = Noise.Value(Seed + 3, x * 26, h * 26) * .6f + Noise.Value(Seed + 4, x * 8, h * 8) * .5f;
                return new Rgb(.22f, .34f, .15f).Scale(.35f + 1.1f * leaf);
            case Backdrop.Railings:
                var bar = x / .11f - MathF.Floor(x / .11f);
                if (h < .55f && (bar < .22f || h is > .5f or < .05f)) return WallTrim.Scale(.5f);
                return h < .2f ? SecondGround.Scale(grain) : WallColour.Scale(grain);
            case Backdrop.Car:
                var length = x / 2.6f - MathF.Floor(x / 2.6f);
                if (length < .82f && h < .80f)
                {
                    if (h < .14f) return new Rgb(.07f, .07f, .08f);
                    if (h > .48f) return length is > .1f and < .62f ? new Rgb(.16f, .19f, .22f).Scale(.7f + .8f * h) : SecondGround.Scale(grain);
                    return WallTrim.Scale(.7f + .6f * h);
                }
                return WallColour.Scale(grain);
            default:
                if (h < .12f) return WallTrim.Scale(grain);
                return overHorizon && Backdrop == Backdrop.None ? WallColour.Mix(new Rgb(.85f, .88f, .92f), .6f) : WallColour.Scale(grain * (.9f + .1f * Noise.Value(Seed, x, h)));
        }
    }

    private static void Clutter(Canvas picture, Draw draw, bool figures)
    {
        float w = picture.Width, h = picture.Height;
        for (var n = draw.Next(4); n > 0; n--)
        {
            var colour = Rgb.FromHsv(draw.Range(0, 360), draw.Range(0, .7f), draw.Range(.1f, .95f));
            switch (draw.Next(figures ? 5 : 4))
            {
                case 0: // post or lamp
                    var x = draw.Range(0, w);
                    picture.Rectangle(x, draw.Range(-.2f, .3f) * h, x + draw.Range(.015f, .06f) * h, draw.Range(.3f, 1.1f) * h, colour.Scale(.6f));
                    break;
                case 1: // painted line, cable or tape
                    picture.Line(draw.Range(-.3f, 1.3f) * w, draw.Range(0, 1) * h, draw.Range(-.3f, 1.3f) * w, draw.Range(0, 1) * h, draw.Range(.006f, .025f) * h, colour, .8f);
                    break;
                case 2: // sign, bin or box
                    float bx = draw.Range(-.2f, 1) * w, by = draw.Range(-.1f, .7f) * h;
                    picture.Rectangle(bx, by, bx + draw.Range(.05f, .22f) * h, by + draw.Range(.05f, .25f) * h, colour, draw.Range(.5f, 1));
                    break;
                case 3: // cone
                    float cx = draw.Range(0, w), cy = draw.Range(.1f, .8f) * h;
                    picture.Line(cx, cy - .06f * h, cx, cy, .03f * h, new Rgb(.95f, .5f, .12f));
                    picture.Line(cx - .03f * h, cy, cx + .03f * h, cy, .015f * h, new Rgb(.95f, .6f, .15f));
                    break;
                default: // a far-off figure
                    float fx = draw.Range(0, w), fy = draw.Range(.0f, .35f) * h, s = draw.Range(.08f, .2f) * h;
                    picture.Ellipse(fx, fy + .5f * s, .16f * s, .32f * s, colour.Scale(.7f), 1, .15f);
                    picture.Ellipse(fx, fy + 1.0f * s, .10f * s, .35f * s, colour.Scale(.3f), 1, .15f);
                    picture.Ellipse(fx, fy + .1f * s, .08f * s, .11f * s, new Rgb(.5f, .38f, .3f), 1, .2f);
                    break;
            }
        }
    }

    /// <summary>Now and then puts something between camera and person. Labels it hides become background.</summary>
    public static void Occlude(Canvas picture, Draw draw)
    {
        if (!draw.Chance(.13)) return;
        float w = picture.Width, h = picture.Height;
        var colour = Rgb.FromHsv(draw.Range(0, 360), draw.Range(0, .4f), draw.Range(.1f, .85f));
        switch (draw.Next(4))
        {
            case 0:
                var x = draw.Range(0, w);
                picture.Rectangle(x, -1, x + draw.Range(.02f, .07f) * h, h + 1, colour, 1, occludes: true);
                break;
            case 1:
                var top = draw.Range(.74f, .93f) * h;
                picture.Rectangle(-1, top, w + 1, h + 1, colour, 1, occludes: true);
                picture.Rectangle(-1, top, w + 1, top + .012f * h, colour.Scale(1.25f));
                break;
            case 2:
                var y = draw.Range(.55f, .9f) * h;
                for (var k = 0; k < 3; k++) picture.Line(-1, y + k * .06f * h, w + 1, y + k * .06f * h, .012f * h, colour.Scale(.6f), 1, occludes: true);
                break;
            default:
                var left = draw.Chance(.5);
                for (var k = 0; k < 26; k++)
                {
                    float lx = (left ? draw.Range(-.1f, .28f) : draw.Range(.72f, 1.1f)) * w, ly = draw.Range(.55f, 1.05f) * h;
                    picture.Line(lx, ly, lx + draw.Range(-.08f, .08f) * w, ly - draw.Range(.02f, .08f) * h, .03f * h, new Rgb(.2f, .36f, .14f).Scale(draw.Range(.5f, 1.3f)), 1, occludes: true);
                }
                break;
        }
    }
}
