namespace Plip.Data.World;

/// <summary>The labels other people's data sets give a pedestrian: SYNTH-PEDES's six phrases and PA-100K's 26 bits.</summary>
public static class Attributes
{
    /// <summary>PA-100K's 26 attributes in its own order (Liu et al., "HydraPlus-Net", ICCV 2017).</summary>
    public static IReadOnlyList<string> Pa100k { get; } =
    [
        "Female", "AgeOver60", "Age18-60", "AgeLess18", "Front", "Side", "Back", "Hat", "Glasses", "HandBag", "ShoulderBag", "Backpack", "HoldObjectsInFront",
        "ShortSleeve", "LongSleeve", "UpperStride", "UpperLogo", "UpperPlaid", "UpperSplice", "LowerStripe", "LowerPattern", "LongCoat", "Trousers", "Shorts", "Skirt&Dress", "boots",
    ];

    /// <summary>
    /// SYNTH-PEDES's six attributes in order: person, head, upper body, lower body, shoes, belongings. What
    /// <paramref name="labels"/> (the picture's LIP labels) do not show is "unknown".
    /// </summary>
    public static string[] Six(PersonAppearance person, ReadOnlySpan<byte> labels)
    {
        Span<int> count = stackalloc int[20];
        foreach (var label in labels) count[label]++;
        var least = Math.Max(3, labels.Length / 1500);
        var bald = person.HairStyle is HairStyle.Bald or HairStyle.Balding && person.Hat is null;
        var seesHair = count[(int)LipLabel.Hair] >= least;
        var seesLower = count[(int)LipLabel.Pants] + count[(int)LipLabel.Skirt] >= least * 3;
        var seesShoes = count[(int)LipLabel.LeftShoe] + count[(int)LipLabel.RightShoe] >= least;
        var noun = (person.Age, person.Female) switch { (AgeGroup.Child, true) => "girl", (AgeGroup.Child, false) => "boy", (_, true) => "woman", _ => "man" };
        var length = person.HairStyle switch { HairStyle.Long or HairStyle.Ponytail => "long ", HairStyle.Short or HairStyle.Cropped => "short ", HairStyle.Curly => "curly ", _ => "" };
        return
        [
            noun,
            bald ? "bald head" : person.Hat?.Kind.Key != "hood" && seesHair ? $"{length}{person.HairShade.Words[0]} hair" : "unknown",
            Named(person.Upper),
            person.Lower is { } lower && seesLower ? Named(lower) : "unknown",
            seesShoes ? $"{person.Shoes.Shade.Words[0]} {person.Shoes.Kind.Words[0]}" : "unknown",
            person.Bag is { } bag ? Named(bag) : person.Held is { } held ? Named(held) : "unknown",
        ];
    }

    private static string Named(Garment garment) => $"{garment.Shade.Words[0]} {(garment.Pattern switch { Pattern.Striped => "striped ", Pattern.Checked => "checked ", Pattern.Print => "patterned ", _ => "" })}{garment.Kind.Words[0]}";

    /// <summary>PA-100K's 26 labels; <paramref name="yaw"/> is the turn from facing the camera, in radians.</summary>
    public static bool[] Pedestrian(PersonAppearance person, float yaw)
    {
        var turn = MathF.Abs(MathF.IEEERemainder(yaw, MathF.Tau));
        var (front, back) = (turn < MathF.PI / 4, turn > MathF.PI * 3 / 4);
        var upper = person.UpperCut;
        var lower = person.LowerCut;
        var bag = person.Bag?.Kind.Key;
        var longSleeve = upper.Sleeve >= 1;
        return
        [
            person.Female, person.Age == AgeGroup.Senior, person.Age == AgeGroup.Adult, person.Age == AgeGroup.Child, front, !front && !back, back,
            person.Hat is not null, person.Eyewear != Eyewear.None, bag is "handbag" or "briefcase" or "suitcase", bag is "shoulder bag" or "tote bag", bag == "backpack", person.Held is not null,
            !longSleeve, longSleeve, person.Upper.Pattern is Pattern.Striped or Pattern.Pinstriped, person.Upper.Pattern is Pattern.Logo or Pattern.Print,
            person.Upper.Pattern == Pattern.Checked, person.Upper.Pattern is Pattern.TwoTone or Pattern.ColourBlock or Pattern.Sleeves,
            person.Lower?.Pattern == Pattern.SideStripe, person.Lower?.Pattern is Pattern.Checked or Pattern.Print, upper.Label == LipLabel.Coat && upper.Hem < .40f,
            lower is { IsSkirt: false, IsShort: false }, lower is { IsShort: true }, upper.IsDress || lower is { IsSkirt: true }, person.ShoeCut.Shaft > 0,
        ];
    }
}
