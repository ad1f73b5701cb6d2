namespace Plip.Data.World;

/// <summary>A colour in display RGB, each channel in 0..1.</summary>
/// <param name="R">Red.</param>
/// <param name="G">Green.</param>
/// <param name="B">Blue.</param>
public readonly record struct Rgb(float R, float G, float B)
{
    /// <summary>The colour scaled by <paramref name="factor"/>.</summary>
    public Rgb Scale(float factor) => new(R * factor, G * factor, B * factor);

    /// <summary>The way from this colour to <paramref name="other"/>, <paramref name="t"/> = 0..1 of it.</summary>
    public Rgb Mix(Rgb other, float t) => new(R + (other.R - R) * t, G + (other.G - G) * t, B + (other.B - B) * t);

    /// <summary>From hue in degrees (any turn), saturation and value in 0..1.</summary>
    public static Rgb FromHsv(float hue, float saturation, float value)
    {
        var h = (hue % 360 + 360) % 360 / 60;
        var c = value * saturation;
        var x = c * (1 - MathF.Abs(h % 2 - 1));
        var m = value - c;
        var (r, g, b) = (int)h switch
        {
            0 => (c, x, 0f),
            1 => (x, c, 0f),
            2 => (0f, c, x),
            3 => (0f, x, c),
            4 => (x, 0f, c),
            _ => (c, 0f, x),
        };
        return new Rgb(r + m, g + m, b + m);
    }
}

/// <summary>
/// A shade as people see and name it: an HSV box to sample from, the words that name it, the first being the usual one,
/// and one basic colour name.
/// </summary>
/// <param name="Key">Its unique name in the tables.</param>
/// <param name="Basic">The basic colour it belongs to, such as "blue" for navy.</param>
/// <param name="Words">What captions may call it; every word is true of every colour in the box.</param>
/// <param name="Hue">Hue range in degrees; may start below zero.</param>
/// <param name="Saturation">Saturation range.</param>
/// <param name="Value">Value range.</param>
public sealed record Shade(string Key, string Basic, string[] Words, (float Low, float High) Hue, (float Low, float High) Saturation, (float Low, float High) Value)
{
    /// <summary>Whether a hurried observer may just say "dark".</summary>
    public bool IsDark => Value.High < .43f;

    /// <summary>Whether a hurried observer may just say "light".</summary>
    public bool IsLight => Value.Low >= .6f && Saturation.High <= .5f;

    /// <summary>Whether <paramref name="colour"/> lies in the box, give or take <paramref name="slack"/> in saturation and value.</summary>
    public bool Contains(Rgb colour, float slack = 0.01f)
    {
        var max = MathF.Max(colour.R, MathF.Max(colour.G, colour.B));
        var min = MathF.Min(colour.R, MathF.Min(colour.G, colour.B));
        var s = max <= 0 ? 0 : (max - min) / max;
        return max >= Value.Low - slack && max <= Value.High + slack && s >= Saturation.Low - slack && s <= Saturation.High + slack;
    }

    internal Rgb Sample(Draw draw) =>
        Rgb.FromHsv(draw.Range(Hue.Low, Hue.High), draw.Range(Saturation.Low, Saturation.High), draw.Range(Value.Low, Value.High));
}

/// <summary>All shades, and how common each is on each kind of garment. Ranges follow cloth as cameras see it: little is pure.</summary>
public static class Shades
{
    /// <summary>Every shade of cloth, leather and hair, in a fixed order.</summary>
    public static IReadOnlyList<Shade> All { get; } =
    [
        S("black", "black", "black|jet black", 0, 360, 0, .25f, .05f, .17f),
        S("charcoal", "grey", "dark grey|charcoal|dark gray", 180, 260, 0, .12f, .22f, .34f),
        S("grey", "grey", "grey|gray", 180, 260, 0, .10f, .38f, .58f),
        S("light grey", "grey", "light grey|light gray|pale grey|silver", 180, 260, 0, .08f, .62f, .78f),
        S("white", "white", "white|off-white", 0, 360, 0, .06f, .86f, 1),
        S("cream", "white", "cream|ivory|off-white", 36, 52, .08f, .2f, .84f, .96f),
        S("red", "red", "red|bright red|scarlet", -10, 8, .65f, .95f, .5f, .9f),
        S("dark red", "red", "dark red|maroon|burgundy|wine", -14, 6, .55f, .9f, .25f, .42f),
        S("blue", "blue", "blue|royal blue|bright blue", 205, 232, .5f, .9f, .5f, .9f),
        S("navy", "blue", "navy|navy blue|dark blue", 212, 242, .3f, .75f, .14f, .32f),
        S("light blue", "blue", "light blue|pale blue|sky blue|baby blue", 195, 220, .2f, .5f, .65f, .95f),
        S("teal", "green", "teal|blue green|turquoise", 172, 190, .45f, .85f, .35f, .65f),
        S("green", "green", "green", 95, 155, .4f, .85f, .35f, .7f),
        S("dark green", "green", "dark green|forest green|bottle green", 110, 160, .3f, .65f, .15f, .32f),
        S("olive", "green", "olive|olive green|army green|dark green", 62, 92, .28f, .55f, .22f, .40f),
        S("light green", "green", "light green|mint|pale green|mint green", 95, 160, .18f, .42f, .72f, .92f),
        S("yellow", "yellow", "yellow|bright yellow", 46, 58, .55f, .95f, .75f, 1),
        S("mustard", "yellow", "mustard|mustard yellow|dark yellow", 40, 50, .6f, .85f, .55f, .74f),
        S("brown", "brown", "brown|chestnut", 14, 32, .4f, .75f, .28f, .46f),
        S("dark brown", "brown", "dark brown|chocolate brown|brown", 12, 30, .35f, .65f, .15f, .27f),
        S("beige", "brown", "beige|tan|khaki|sand coloured", 28, 44, .18f, .42f, .6f, .85f),
        S("camel", "brown", "camel|light brown|tan", 24, 36, .42f, .62f, .55f, .75f),
        S("pink", "pink", "pink|light pink|rose", 325, 350, .25f, .6f, .75f, 1),
        S("hot pink", "pink", "hot pink|bright pink|fuchsia|magenta", 318, 338, .62f, .9f, .65f, .95f),
        S("salmon", "pink", "salmon|coral|peach", 4, 20, .35f, .6f, .8f, 1),
        S("purple", "purple", "purple|violet", 262, 295, .35f, .75f, .3f, .65f),
        S("lilac", "purple", "lilac|lavender|light purple|pale purple", 255, 285, .15f, .35f, .7f, .92f),
        S("orange", "orange", "orange|bright orange", 16, 30, .75f, 1, .75f, 1),
        S("dark denim", "blue", "dark blue|dark denim|indigo", 212, 228, .3f, .55f, .24f, .40f),
        S("denim", "blue", "blue|denim blue|faded blue|mid blue", 208, 222, .3f, .5f, .42f, .62f),
        S("light denim", "blue", "light blue|washed blue|pale blue|faded light blue", 205, 220, .14f, .32f, .66f, .85f),
        S("hair black", "black", "black|dark", 0, 360, 0, .25f, .05f, .14f),
        S("hair dark brown", "brown", "dark brown|dark|brunette", 12, 28, .35f, .65f, .13f, .24f),
        S("hair brown", "brown", "brown|light brown|brunette", 15, 30, .4f, .65f, .27f, .42f),
        S("hair blonde", "blonde", "blonde|blond|fair|light", 32, 46, .3f, .6f, .65f, .92f),
        S("hair grey", "grey", "grey|gray|silver", 30, 50, 0, .1f, .45f, .68f),
        S("hair white", "white", "white|grey", 30, 50, 0, .08f, .75f, .92f),
        S("hair ginger", "ginger", "ginger|red|auburn", 12, 24, .6f, .85f, .45f, .7f),
    ];

    private static readonly Dictionary<string, Shade> ByKey = All.ToDictionary(s => s.Key, StringComparer.Ordinal);

    internal static readonly (Shade Shade, float Weight)[] Upper = Mix("black 20,navy 11,charcoal 7,grey 8,light grey 4,white 11,cream 2,red 7,dark red 4,blue 7,light blue 5,teal 2,green 4,dark green 3,olive 4,light green 2,yellow 3,mustard 2,brown 4,dark brown 3,beige 5,camel 2,pink 4,hot pink 2,salmon 2,purple 4,lilac 2,orange 3");
    internal static readonly (Shade Shade, float Weight)[] Lower = Mix("black 24,navy 9,charcoal 8,grey 7,light grey 3,white 5,cream 1,brown 4,dark brown 3,beige 8,camel 2,olive 4,red 2,dark red 1,green 1,dark green 2,pink 2,blue 3,light blue 2,purple 1,yellow 1,mustard 1,teal 1");
    internal static readonly (Shade Shade, float Weight)[] Denim = Mix("dark denim 6,denim 6,light denim 4,black 2,charcoal 1");
    internal static readonly (Shade Shade, float Weight)[] Leather = Mix("black 12,dark brown 6,brown 4,camel 2,dark red 1,charcoal 1");
    internal static readonly (Shade Shade, float Weight)[] Shoes = Mix("black 12,white 9,dark brown 3,brown 4,grey 4,light grey 2,charcoal 2,red 2,blue 2,navy 2,pink 1,beige 2,camel 1,green 1,yellow 1,orange 1");
    internal static readonly (Shade Shade, float Weight)[] Bag = Mix("black 10,dark brown 3,brown 4,red 3,blue 3,navy 3,grey 3,charcoal 2,white 3,green 2,olive 1,pink 2,beige 2,camel 2,yellow 1,purple 1,orange 1");
    internal static readonly (Shade Shade, float Weight)[] Hat = Mix("black 6,white 4,red 3,blue 2,navy 2,grey 3,charcoal 1,yellow 1,green 1,olive 1,brown 1,beige 2,cream 1,pink 1,purple 1,mustard 1");
    internal static readonly (Shade Shade, float Weight)[] Hair = Mix("hair black 8,hair dark brown 6,hair brown 5,hair blonde 4,hair grey 1,hair ginger 1");
    internal static readonly (Shade Shade, float Weight)[] OldHair = Mix("hair grey 5,hair white 4,hair dark brown 1,hair blonde 1");

    /// <summary>The shade with this key.</summary>
    /// <exception cref="ArgumentException">There is none.</exception>
    public static Shade Get(string key) =>
        ByKey.TryGetValue(key, out var shade) ? shade : throw new ArgumentException($"No shade is called '{key}'; see Shades.All.", nameof(key));

    internal static Shade Pick(Draw draw, (Shade Shade, float Weight)[] mix) => draw.Pick(mix, m => m.Weight).Shade;

    private static Shade S(string key, string basic, string words, float h0, float h1, float s0, float s1, float v0, float v1) =>
        new(key, basic, words.Split('|'), (h0, h1), (s0, s1), (v0, v1));

    private static (Shade Shade, float Weight)[] Mix(string table) =>
        [.. table.Split(',').Select(e => (Get(e[..e.LastIndexOf(' ')]), float.Parse(e[(e.LastIndexOf(' ') + 1)..], System.Globalization.CultureInfo.InvariantCulture)))];
}
