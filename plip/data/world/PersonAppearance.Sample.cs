namespace Plip.Data.World;

public sealed partial record PersonAppearance
{
    private static readonly (Rgb Tone, bool Dark, float Weight)[] Skins =
    [
        (new(.88f, .71f, .61f), false, 5), (new(.82f, .63f, .50f), false, 4), (new(.72f, .54f, .42f), false, 3),
        (new(.58f, .41f, .31f), false, 2), (new(.40f, .28f, .21f), true, 1.6f), (new(.28f, .19f, .15f), true, 1),
    ];

    private static readonly string[] InnerKeys = ["t-shirt", "t-shirt", "shirt", "sweater", "long sleeved top", "turtleneck"];

    /// <summary>The identity's appearance: always the same for the same seed and identity.</summary>
    /// <param name="seed">The world's seed.</param>
    /// <param name="identity">The identity, 0 or above.</param>
    public static PersonAppearance Sample(ulong seed, int identity)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(identity);
        return Sample(new Draw(seed, WorldStream.Identity, identity), identity);
    }

    internal static PersonAppearance Sample(Draw draw, int identity)
    {
        var female = draw.Chance(.48);
        var age = draw.Uniform() switch { < .06f => AgeGroup.Child, > .91f => AgeGroup.Senior, _ => AgeGroup.Adult };
        float Weight(ItemKind k) => female ? k.Women : k.Men;

        var (tone, dark, _) = draw.Pick(Skins, s => s.Weight);
        var skin = tone.Scale(draw.Range(.93f, 1.06f));
        var hairShade = Shades.Pick(draw, age == AgeGroup.Senior ? Shades.OldHair : Shades.Hair);
        if (dark && draw.Chance(.85)) hairShade = Shades.Get("hair black");
        var style = SampleHair(draw, female, age, dark);

        var upperCut = draw.Pick(Wardrobe.Uppers, Weight);
        if (age == AgeGroup.Child && upperCut.Front == Front.Lapels) upperCut = Wardrobe.Uppers[0];
        var upper = SampleUpper(draw, upperCut);
        var open = upperCut.Opens && draw.Chance(upperCut.Key is "cardigan" or "blazer" ? .6 : .33);
        var innerKey = draw.Pick(InnerKeys);
        var inner = SampleUpper(draw, Wardrobe.Uppers.First(k => k.Key == innerKey), plainer: true);

        Garment? lower = null;
        if (!upperCut.IsDress)
        {
            var cut = draw.Pick(Wardrobe.Lowers, k => Weight(k) * (upperCut.IsWarm && (k.IsShort || k.Key == "short skirt") ? .25f : 1));
            var palette = cut.Fabric == Fabric.Denim ? Shades.Denim : Shades.Lower;
            var suit = upperCut.Key == "blazer" && cut.Key == "trousers" && draw.Chance(.6);
            var pattern = draw.Uniform() switch
            {
                < .05f when cut.Key is "joggers" or "shorts" or "leggings" or "trousers" => Pattern.SideStripe,
                < .10f when cut.Fabric != Fabric.Denim => Pattern.Checked,
                < .20f when cut.IsSkirt => Pattern.Print,
                < .13f when cut.Key is "shorts" or "leggings" or "wide trousers" => Pattern.Print,
                _ => Pattern.Plain,
            };
            lower = Make(draw, cut, palette, Shades.Lower, suit ? Pattern.Plain : pattern);
            if (suit) lower = lower with { Shade = upper.Shade, Colour = upper.Colour, Shade2 = upper.Shade, Colour2 = upper.Colour };
        }
        var lowerCut = (LowerKind?)lower?.Kind;
        var bare = lowerCut is null or { IsSkirt: true };
        var shoeCut = draw.Pick(Wardrobe.Shoes, k => Weight(k) * (k.Key == "sandals" && upperCut.IsWarm ? .2f : 1) * (k.Key == "high boots" && !bare && lowerCut!.Ankle > .006f ? 0 : 1));
        var shoes = Make(draw, shoeCut, shoeCut.Fabric == Fabric.Leather && draw.Chance(.7) ? Shades.Leather : Shades.Shoes, Shades.Shoes, Pattern.Plain);
        Rgb? hose = null;
        if (bare && draw.Chance(upperCut.IsWarm ? .7 : .25)) hose = Shades.Get(draw.Chance(.75) ? "black" : "charcoal").Sample(draw);
        else if (lowerCut is { IsShort: true } && draw.Chance(.5)) hose = Shades.Get(draw.Chance(.6) ? "white" : "black").Sample(draw);

        Garment? hat = null;
        if (upperCut.Hood && draw.Chance(.12)) hat = upper with { Kind = Wardrobe.Hats[3], Pattern = Pattern.Plain };
        else if (draw.Chance(.22)) hat = Make(draw, draw.Pick(Wardrobe.Hats, Weight), Shades.Hat, Shades.Hat, Pattern.Plain);
        Garment? scarf = upperCut.IsWarm && draw.Chance(.14)
            ? Make(draw, new ItemKind("scarf", ["scarf", "neck scarf", "shawl"], 1, 1), Shades.Upper, Shades.Upper, draw.Chance(.3) ? Pattern.Checked : Pattern.Plain) : null;
        Rgb? gloves = upperCut.IsWarm && draw.Chance(.07) ? Shades.Get(draw.Chance(.8) ? "black" : "dark brown").Sample(draw) : null;
        var bag = draw.Chance(.5) ? Make(draw, draw.Pick(Wardrobe.Bags, Weight), Shades.Bag, Shades.Bag, Pattern.Plain) : null;
        Garment? held = null;
        if (draw.Chance(.26))
        {
            var kind = draw.Pick(Wardrobe.Objects, Weight);
            var shade = kind.Key is "paper" or "cup" ? Shades.Get("white") : kind.Key == "phone" ? Shades.Get("black") : null;
            held = Make(draw, kind, shade is null ? Shades.Bag : [(shade, 1)], Shades.Bag, Pattern.Plain);
        }

        return new PersonAppearance
        {
            Identity = identity,
            Female = female,
            Age = age,
            Build = Math.Clamp(draw.Bell(female ? .98f : 1.02f, .09f), .84f, 1.3f) * (age == AgeGroup.Child ? .95f : 1),
            Stature = age == AgeGroup.Child ? draw.Range(.68f, .85f) : draw.Bell(female ? .96f : 1, .03f),
            Skin = skin,
            DarkSkin = dark,
            HairStyle = style,
            HairShade = hairShade,
            HairColour = hairShade.Sample(draw),
            Beard = !female && age != AgeGroup.Child && draw.Chance(.2),
            Eyewear = draw.Uniform() switch { < .12f => Eyewear.Glasses, < .17f => Eyewear.Sunglasses, _ => Eyewear.None },
            Upper = upper,
            Open = open,
            Inner = inner,
            Lower = lower,
            Shoes = shoes,
            Hose = hose,
            Hat = hat,
            Scarf = scarf,
            Gloves = gloves,
            Bag = bag,
            Held = held,
            Texture = draw.Bits(),
        };
    }

    private static HairStyle SampleHair(Draw draw, bool female, AgeGroup age, bool dark)
    {
        var x = draw.Uniform();
        if (female)
            return x switch { < .42f => HairStyle.Long, < .60f => HairStyle.Bob, < .76f => HairStyle.Ponytail, < .84f => HairStyle.Bun, < .92f => HairStyle.Curly, _ => HairStyle.Short };
        if (age == AgeGroup.Senior && x < .4f) return x < .15f ? HairStyle.Bald : HairStyle.Balding;
        if (age == AgeGroup.Child) return HairStyle.Short;
        return x switch { < .06f => HairStyle.Bald, < .11f => HairStyle.Balding, < .30f => HairStyle.Cropped, < .90f => dark ? HairStyle.Cropped : HairStyle.Short, < .93f => HairStyle.Long, < .96f => HairStyle.Bob, _ => HairStyle.Curly };
    }

    private static Garment SampleUpper(Draw draw, UpperKind cut, bool plainer = false)
    {
        var palette = cut.Fabric switch { Fabric.Denim => Shades.Denim, Fabric.Leather => Shades.Leather, _ => Shades.Upper };
        var x = draw.Uniform() * (plainer ? 2.2f : 1);
        var outer = cut.Label == LipLabel.Coat;
        var pattern = !cut.Patterned ? Pattern.Plain : x switch
        {
            < .07f when cut.Key != "blazer" => Pattern.Striped,
            < .09f when !outer || cut.Key == "blazer" => Pattern.Pinstriped,
            < .16f when cut.Collar && cut.Fabric is Fabric.Cotton or Fabric.Silk or Fabric.Wool => Pattern.Checked,
            < .20f when cut.Sleeve > 0 && cut.Key != "blazer" && !plainer => Pattern.TwoTone,
            < .24f when !plainer && cut.Key != "blazer" => Pattern.ColourBlock,
            < .27f when cut.Sleeve > 0 && !plainer && cut.Key != "blazer" => Pattern.Sleeves,
            < .40f when cut.Key is "t-shirt" or "hoodie" or "sweatshirt" or "long sleeved top" => Pattern.Logo,
            < .40f when cut.Fabric == Fabric.Silk || cut.IsDress => Pattern.Print,
            _ => Pattern.Plain,
        };
        return Make(draw, cut, palette, Shades.Upper, pattern);
    }

    private static Garment Make(Draw draw, ItemKind kind, (Shade Shade, float Weight)[] palette, (Shade Shade, float Weight)[] palette2, Pattern pattern)
    {
        var shade = Shades.Pick(draw, palette);
        var colour = shade.Sample(draw);
        var shade2 = Shades.Pick(draw, palette2);
        // A second colour that cannot be told from the first would make the caption's "and" a lie to the eye.
        while (pattern != Pattern.Plain && shade2.Basic == shade.Basic) shade2 = Shades.Pick(draw, palette2);
        var colour2 = shade2.Sample(draw);
        return pattern == Pattern.Plain ? new Garment(kind, shade, colour, pattern, shade, colour) : new Garment(kind, shade, colour, pattern, shade2, colour2);
    }
}
