namespace Plip.Data.World;

internal sealed partial class Captioner
{
    private string Verb => One("is wearing", "wears", "is wearing", "has on", "is dressed in", "is in");

    private string Doing => walking && May(.5) ? One("walking", "walking along", "striding") : "";

    /// <summary>The clothes as one list: upper, lower and perhaps shoes, now and then from the feet up.</summary>
    private string Clothes(bool shoes)
    {
        string? s = shoes ? Shoes() : null;
        if (Lower() is not { } lower) return Upper() + (s is null ? "" : One(" and ", " with ", ", ") + s);
        if (person.Lower!.Shade.Basic == person.Upper.Shade.Basic && person.Lower.Pattern == Pattern.Plain && person.Upper.Pattern == Pattern.Plain && May(.3))
        {
            // Said once of both, as people do.
            said.RemoveAll(p => p.Slot == "lower");
            var bottoms = Say("lower", person.Lower.Kind.Words[0]);
            return $"all {Say("upper", person.Upper.Shade.Basic)} clothes, {Article(Say("upper", person.Upper.Kind.Words[0]))} and {(person.LowerCut!.IsSkirt ? Article(bottoms) : bottoms)}" + (s is null ? "" : " with " + s);
        }
        var upper = Upper();
        if (May(.2)) return s is null ? $"{lower} and {upper}" : One($"{lower}, {s} and {upper}", $"{lower} with {s} and {upper}");
        if (s is null) return upper + One(" and ", " and ", " with ", " over ") + lower;
        return upper + One(", ", " and ", " with ") + lower + One(" and ", " with ", ", ") + s;
    }

    private string Extras()
    {
        var extras = new List<string>();
        if (person.Bag is { } bag && May(.85))
        {
            var item = Item("bag", bag);
            extras.Add(bag.Kind.Key switch
            {
                "backpack" => One($"carrying {item}", $"with {item} on {Possessive} back", $"wearing {item}", $"with {item}"),
                "suitcase" => One($"pulling {item}", $"with {item}", $"dragging {item}"),
                "waist bag" => One($"wearing {item}", $"with {item}"),
                "handbag" or "briefcase" => One($"carrying {item}", $"holding {item}", $"with {item}", $"with {item} in {Possessive} hand"),
                _ => One($"carrying {item}", $"with {item} on {Possessive} shoulder", $"with {item}"),
            });
        }
        if (person.Held is { } held && May(.75))
        {
            var item = Item("object", held);
            extras.Add(held.Kind.Key == "phone" ? One($"looking at {item}", $"holding {item}", $"with {item} in {Possessive} hand") : One($"holding {item}", $"carrying {item}", $"with {item} in {Possessive} hand"));
        }
        if (extras.Count == 2 && May(.3)) extras.Reverse();
        return extras.Count == 0 ? "" : ", " + string.Join(" and ", extras);
    }

    private string HatAndFace()
    {
        var parts = new List<string>();
        if (person.Hat is { } hat && May(.88)) parts.Add(hat.Kind.Key == "hood" ? Say("hat", One("the hood up", "a raised hood")) : Item("hat", hat));
        if (person.Scarf is { } scarf && May(.7)) parts.Add(Article(Say("scarf", Cloth(scarf))));
        if (person.Eyewear != Eyewear.None && May(.45)) parts.Add(Say("glasses", person.Eyewear == Eyewear.Sunglasses ? "sunglasses" : "glasses"));
        return parts.Count switch { 0 => "", 1 => parts[0], _ => string.Join(", ", parts.Take(parts.Count - 1)) + " and " + parts[^1] };
    }

    private string Beard => person.Beard && May(.25) ? Say("hair", One("a beard", "a short beard")) : "";

    private static string With(string what) => what.Length == 0 ? "" : " with " + what;

    private string Compact()
    {
        var hair = HairSeen && May(.55) ? Hair() : Beard;
        var shoes = May(.55);
        switch (draw.Next(12))
        {
            case 0: return $"A {Noun()}{With(hair)} {Verb} {Clothes(shoes)}{With(HatAndFace())}{Extras()}.";
            case 1: return $"The {Noun()}{With(hair)} {Verb} {Clothes(shoes)}{With(HatAndFace())}{Extras()}.";
            case 2: return $"{Article(Noun())} in {Clothes(shoes)}{With(hair)}{With(HatAndFace())}{Extras()}.";
            case 3: return $"{Article(Noun())} dressed in {Clothes(shoes)}{With(hair)}{Extras()}{With(HatAndFace())}.";
            case 4: return $"This {Noun()} {Verb} {Clothes(shoes)}{With(hair)}{With(HatAndFace())}{Extras()}.";
            case 5:
                var clothes = Clothes(shoes);
                return $"{clothes} {(shoes || person.Lower is not null ? "are" : "is")} worn by the {Noun()}{With(hair)}{With(HatAndFace())}{Extras()}.";
            case 6: return $"{Article(Noun())} {Doing} in {Clothes(shoes)}{With(HatAndFace())}{Extras()}.";
            case 7: return $"The pedestrian wears {Clothes(shoes)}{With(hair)}{With(HatAndFace())}{Extras()}.";
            case 8: return $"Wearing {Clothes(shoes)}, the {Noun()}{With(hair)} {(walking ? "walks" : "stands")}{With(HatAndFace())}{Extras()}.";
            case 9:
                var extra = Extras();
                return extra.Length > 0 && extra.StartsWith(", with", StringComparison.Ordinal) ? $"{extra[2..]}, the {Noun()}{With(hair)} wears {Clothes(shoes)}{With(HatAndFace())}." : $"{Article(Noun())}{With(hair)} wearing {Clothes(shoes)}{With(HatAndFace())}{extra}.";
            case 10:
                var l = Lower();
                return l is null ? $"{Article(Noun())}{With(hair)} in {Upper()}{Extras()}." : $"{Article(Noun())}{With(hair)}{With(HatAndFace())} in {l}{(shoes ? ", " + Shoes() : "")} and {Upper()}{Extras()}.";
            default: return $"{Article(Noun())}{(hair.Length > 0 ? With(hair) + " and " : " in ")}{Upper()}{(Lower() is { } low ? " with " + low : "")}{(shoes ? ", " + Shoes() : "")}{With(HatAndFace())}{Extras()}.";
        }
    }

    private string Leisurely()
    {
        var hair = HairSeen && May(.75) ? Hair() : Beard;
        var shoes = May(.6);
        var first = draw.Next(8) switch
        {
            0 => $"The {Noun()} {Verb} {Clothes(false)}.",
            1 => $"{Article(Noun())} {Verb} {Clothes(false)}.",
            2 => $"The {Noun()} in the picture {Verb} {Clothes(false)}.",
            3 => $"{Article(Noun())} is {(walking ? One("walking", "walking along", "on the move") : One("standing", "standing still"))} in {Clothes(false)}.",
            4 => $"There is {Article(Noun())} in {Clothes(false)}.",
            5 => $"The {Noun()} is dressed in {Clothes(false)}.",
            6 => $"The {Noun()} has on {Clothes(false)}.",
            _ => $"The {Noun()}{With(hair)} {Verb} {Clothes(false)}.",
        };
        if (hair.Length > 0 && first.Contains(hair, StringComparison.Ordinal)) hair = "";
        var more = new List<string>();
        var head = HatAndFace();
        if (hair.Length > 0 && head.Length > 0) more.Add(One($"{Pronoun} has {hair} and is wearing {head}", $"{Pronoun} wears {head} and has {hair}"));
        else if (hair.Length > 0) more.Add(One($"{Pronoun} has {hair}", $"{Pronoun} has {hair}", $"{Pronoun} is seen with {hair}"));
        else if (head.Length > 0) more.Add(One($"{Pronoun} is wearing {head}", $"{Pronoun} has {head}", $"{Pronoun} also wears {head}"));
        var extra = Extras();
        if (shoes) more.Add(One($"{Pronoun} {One("has", "wears", "is wearing", "is in")} {Shoes()}{extra}", $"On {Possessive} feet are {Shoes()}{(extra.Length > 0 ? $" and {Pronoun.ToLowerInvariant()} is seen{extra[1..]}" : "")}", $"{Pronoun} {(walking ? "walks" : "stands")} in {Shoes()}{extra}"));
        else if (extra.Length > 0) more.Add($"{Pronoun} is{(extra.StartsWith(", with", StringComparison.Ordinal) ? " seen" : "")}{extra[1..]}");
        if (more.Count == 2 && May(.4)) more.Reverse();
        // A hasty writer stops early.
        if (more.Count == 2 && May(.2)) more.RemoveAt(1);
        return first + string.Concat(more.Select(m => " " + m + "."));
    }

    private static readonly string[] PromptFrames =
    [
        "The {person}[ with {head}] is wearing {up}[ and {down}][, {shoes}][ and carries {others}].",
        "A {person} in {up}[ and {down}][ with {shoes}][, having {head}][ and holding {others}].",
        "This {person} has {head|been seen} and wears {up}[, {down}][ and {shoes}][ with {others}].",
        "A photo of a {person}[ with {head}], {up}[, {down}][, {shoes}][ and {others}].",
        "The {person} wears {up}[ with {down}][ and {shoes}]. The {person} has {head|an ordinary look}[ and carries {others}].",
        "A {person}[ who has {head}] is dressed in {up}[ and {down}][. On the feet are {shoes}][. The {person} has {others}].",
        "In {up}[ and {down}], the {person}[ with {head}] walks by[ in {shoes}][ with {others}].",
        "The pedestrian is a {person}[ with {head}] in {up}[, {down}][ and {shoes}][, with {others}].",
        "A {person}[ with {shoes}][, {down}] and {up}[ carries {others}][ and has {head}].",
        "The {person}[ has {head} and] wears {up}[ over {down}][ together with {shoes}][, carrying {others}].",
    ];

    /// <summary>
    /// The third caption, made from the six attributes alone as SPAC's attribute prompt engineering does: a frame with slots,
    /// whose bracketed clauses fall away where an attribute is unknown.
    /// </summary>
    public Caption Prompt(IReadOnlyList<string> six)
    {
        var frame = draw.Pick(PromptFrames);
        string[] names = ["person", "head", "up", "down", "shoes", "others"];
        string[] slots = ["person", "hair", "upper", "lower", "shoes", "bag"];
        said = [];
        var text = new System.Text.StringBuilder();
        foreach (var piece in frame.Split('['))
        {
            var close = piece.IndexOf(']');
            Append(close < 0 ? "" : piece[..close], optional: true);
            Append(close < 0 ? piece : piece[(close + 1)..], optional: false);
        }
        return new Caption(Tidy(text.ToString()), [.. said]);

        void Append(string piece, bool optional)
        {
            for (var i = 0; i < names.Length; i++)
            {
                var open = piece.IndexOf("{" + names[i], StringComparison.Ordinal);
                if (open < 0) continue;
                var end = piece.IndexOf('}', open);
                var instead = piece[open..end].Contains('|') ? piece[(piece.IndexOf('|', open) + 1)..end] : null;
                if (six[i] == "unknown" && optional) return;
                var value = six[i] == "unknown" ? instead ?? "clothes" : i == 2 || (i == 3 && person.LowerCut is { IsSkirt: true }) || i == 5 ? Article(six[i]) : six[i];
                piece = piece[..open] + value + piece[(end + 1)..];
                if (six[i] != "unknown") said.Add((slots[i], six[i]));
            }
            text.Append(piece);
        }
    }
}
