namespace Plip.Data.World;

/// <summary>A caption and the attribute phrases in it, in order of appearance.</summary>
/// <param name="Text">One to three English sentences.</param>
/// <param name="Phrases">Each phrase with what it speaks of: person, hair, upper, inner, lower, shoes, hat, bag, object, scarf or glasses.</param>
public sealed record Caption(string Text, IReadOnlyList<(string Slot, string Phrase)> Phrases);

/// <summary>
/// Writes captions as annotators do: different words for the same thing, things left out, clauses in any order, now and then
/// a lazy "dark". Everything said is true of the appearance; nothing is said of what can never be seen of it.
/// </summary>
internal sealed partial class Captioner(Draw draw, PersonAppearance person, bool walking)
{
    private List<(string Slot, string Phrase)> said = [];

    /// <summary>The caption in style 0 (leisurely, up to three sentences) or 1 (one compact sentence).</summary>
    public Caption Write(int style)
    {
        said = [];
        var text = Tidy(style == 0 ? Leisurely() : Compact());
        // Templates say things in an order of their own; what counts is where the phrase stands.
        // One that opens the sentence has got a capital.
        var phrases = said.Select(p => (p.Slot, p.Phrase, At: text.IndexOf(p.Phrase, StringComparison.OrdinalIgnoreCase))).Where(p => p.At >= 0)
            .OrderBy(p => p.At).Select(p => (p.Slot, text.Substring(p.At, p.Phrase.Length))).ToList();
        return new Caption(text, phrases);
    }

    private string Say(string slot, string phrase)
    {
        said.Add((slot, phrase));
        return phrase;
    }

    private string One(params ReadOnlySpan<string> choices) => choices[draw.Next(choices.Length)];

    private bool May(double chance) => draw.Chance(chance);

    private string Pronoun => person.Female ? "She" : "He";
    private string Possessive => person.Female ? "her" : "his";

    /// <summary>A shade's name as somebody would give it.</summary>
    private string Colour(Shade shade)
    {
        var x = draw.Uniform();
        if (shade.IsDark && x < .07f) return "dark";
        if (shade.IsLight && x < .03f) return One("light", "light coloured");
        return x < .27f ? shade.Basic : x < .62f ? shade.Words[0] : draw.Pick(shade.Words);
    }

    internal static string Article(string phrase) => (phrase[0] is 'a' or 'e' or 'i' or 'o' or 'u' or 'A' or 'E' or 'I' or 'O' or 'U' && !phrase.StartsWith("uni", StringComparison.Ordinal) ? "an " : "a ") + phrase;

    private string Noun()
    {
        var noun = (person.Age, person.Female) switch
        {
            (AgeGroup.Child, true) => One("girl", "young girl", "little girl", "child", "kid"),
            (AgeGroup.Child, false) => One("boy", "young boy", "little boy", "child", "kid"),
            (AgeGroup.Senior, true) => One("old woman", "elderly woman", "older lady", "woman", "elderly lady", "senior"),
            (AgeGroup.Senior, false) => One("old man", "elderly man", "older man", "man", "old gentleman", "senior"),
            (_, true) => One("woman", "woman", "woman", "woman", "lady", "girl", "female", "female pedestrian", "young woman", "person", "pedestrian"),
            _ => One("man", "man", "man", "man", "guy", "gentleman", "male", "male pedestrian", "young man", "person", "pedestrian"),
        };
        if (person.DarkSkin && May(.12)) noun = "dark-skinned " + noun;
        else if (person.Build > 1.14f && May(.3)) noun = One("stout ", "heavyset ", "large ", "broad ") + noun;
        else if (person.Build < .92f && May(.15)) noun = One("slim ", "thin ", "slender ") + noun;
        return Say("person", noun);
    }

    private string Hair()
    {
        var c = Colour(person.HairShade);
        return Say("hair", person.HairStyle switch
        {
            HairStyle.Bald => One("a bald head", "no hair", "a shaved head"),
            HairStyle.Balding => One("very little hair", $"thinning {c} hair", "a balding head", $"receding {c} hair"),
            HairStyle.Cropped => One($"very short {c} hair", $"short {c} hair", $"closely cropped {c} hair", "short cropped hair"),
            HairStyle.Short => One($"short {c} hair", $"short {c} hair", $"{c} hair", "short hair"),
            HairStyle.Bob => One($"shoulder length {c} hair", $"{c} hair", $"{c} bobbed hair", $"medium length {c} hair"),
            HairStyle.Long => One($"long {c} hair", $"long {c} hair", $"{c} hair", "long hair", $"long straight {c} hair"),
            HairStyle.Ponytail => One($"{c} hair in a ponytail", $"a {c} ponytail", $"{c} hair tied back", $"long {c} hair pulled back"),
            HairStyle.Bun => One($"{c} hair in a bun", $"{c} hair tied up", $"{c} hair"),
            _ => One($"curly {c} hair", $"fluffy {c} hair", $"{c} curly hair", $"{c} hair"),
        });
    }

    private bool HairSeen => person.Hat is null || (person.Hat.Kind.Key != "hood" && person.HairStyle is not (HairStyle.Bald or HairStyle.Balding) && May(.5));

    /// <summary>Colour, pattern and kind of a garment, some of it left out.</summary>
    private string Cloth(Garment garment)
    {
        var kind = garment.Kind.Words.Length > 1 && May(.55) ? draw.Pick(garment.Kind.Words) : garment.Kind.Words[0];
        string a = Colour(garment.Shade), b = Colour(garment.Shade2);
        if (garment.Pattern == Pattern.Plain || May(.15))
            return May(.04) ? kind : May(.06) && garment.Pattern == Pattern.Plain ? $"plain {a} {kind}" : $"{a} {kind}";
        return garment.Pattern switch
        {
            Pattern.Striped => One($"{a} and {b} striped {kind}", $"{a} striped {kind}", $"striped {a} {kind}", $"{a} {kind} with {b} stripes", $"{a} {kind} with horizontal {b} stripes"),
            Pattern.Pinstriped => One($"{a} {kind} with thin {b} stripes", $"{a} striped {kind}", $"pinstriped {a} {kind}", $"{a} {kind} with vertical stripes"),
            Pattern.Checked => One($"{a} and {b} checked {kind}", $"checked {a} {kind}", $"{a} plaid {kind}", $"{a} and {b} plaid {kind}", $"{a} checkered {kind}"),
            Pattern.TwoTone => One($"{a} and {b} {kind}", $"{a} {kind} with {b} shoulders and sleeves", $"{kind} that is {b} at the shoulders and {a} below", $"{b} and {a} {kind}"),
            Pattern.ColourBlock => One($"{a} and {b} {kind}", $"two-tone {a} and {b} {kind}", $"{kind} that is {a} above and {b} below"),
            Pattern.Sleeves => One($"{a} {kind} with {b} sleeves", $"{a} and {b} {kind}"),
            Pattern.Logo => One($"{a} {kind} with a {b} logo", $"{a} {kind} with a {b} print on the front", $"{a} graphic {kind}", $"{a} {kind} with a logo on the chest"),
            Pattern.Print => One($"{a} patterned {kind}", $"{a} {kind} with a {b} print", $"{a} and {b} patterned {kind}", $"printed {a} {kind}"),
            _ => One($"{a} {kind} with {b} side stripes", $"{a} {kind} with a {b} stripe down the side", $"{a} {kind}"),
        };
    }

    private string Upper()
    {
        var upper = Article(Say("upper", Cloth(person.Upper)));
        if (person.Open && May(.5)) upper += One(" over ", " over ", " on top of ", " with ") + Article(Say("inner", Cloth(person.Inner)));
        else if (person.Open && May(.25)) upper = "an open" + upper[upper.IndexOf(' ')..];
        return upper;
    }

    private string? Lower()
    {
        if (person.Lower is not { } lower) return null;
        var phrase = Say("lower", lower.Kind.Key is "jeans" or "skinny jeans" && May(.12) ? "jeans" : Cloth(lower));
        return person.LowerCut!.IsSkirt ? Article(phrase) : May(.06) ? "a pair of " + phrase : phrase;
    }

    private string Shoes()
    {
        var kind = May(.5) ? draw.Pick(person.Shoes.Kind.Words) : person.ShoeCut.Open || person.ShoeCut.Shaft > 0 ? person.Shoes.Kind.Words[0] : "shoes";
        return Say("shoes", $"{Colour(person.Shoes.Shade)} {kind}");
    }

    private string Item(string slot, Garment garment)
    {
        var kind = May(.5) ? draw.Pick(garment.Kind.Words) : garment.Kind.Words[0];
        var phrase = kind.Contains("white", StringComparison.Ordinal) || May(.1) ? kind : $"{Colour(garment.Shade)} {kind}";
        if (kind == "sheet of paper" || kind == "drink") phrase = kind;
        return Article(Say(slot, phrase));
    }

    /// <summary>Removes doubled blanks and commas that omissions leave behind, and sees to capital and full stop.</summary>
    private static string Tidy(string text)
    {
        while (text.Contains("  ", StringComparison.Ordinal)) text = text.Replace("  ", " ", StringComparison.Ordinal);
        text = text.Replace(" ,", ",", StringComparison.Ordinal).Replace(",,", ",", StringComparison.Ordinal).Replace(" .", ".", StringComparison.Ordinal).Replace(",.", ".", StringComparison.Ordinal).Trim();
        return char.ToUpperInvariant(text[0]) + text[1..];
    }
}
