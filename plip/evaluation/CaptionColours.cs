namespace Plip.Evaluation;

/// <summary>
/// Reads the colours of a caption. A colour belongs to the next garment noun of its clause ("a red and blue puffer
/// jacket"), or, where the clause ends first, to the last one named ("a jacket that is red at the shoulders").
/// No grammar is parsed; this is as much as a weak rival and a word swap need.
/// </summary>
public static class CaptionColours
{
    private static readonly Dictionary<string, BodyPart> Nouns = Table(
        (BodyPart.Upper, "jacket jackets coat coats shirt shirts tee top tops blouse hoodie hoody sweatshirt sweater jumper pullover cardigan vest blazer overcoat anorak parka raincoat polo tunic fleece windbreaker waistcoat tshirt scarf"),
        (BodyPart.Lower, "trousers pants jeans shorts skirt leggings slacks tights joggers chinos sweatpants capris bottoms"),
        (BodyPart.Feet, "shoes shoe trainers sneakers boots sandals heels slippers flats loafers socks footwear"),
        (BodyPart.Body, "dress suit jumpsuit overalls tracksuit uniform robe gown outfit clothes clothing"),
        (BodyPart.Head, "hair haired hat cap beanie helmet hood headscarf bun ponytail"),
        (BodyPart.Bag, "bag backpack rucksack handbag purse satchel suitcase luggage bags"),
        (BodyPart.None, "hand hands paper papers sheet skin skinned umbrella phone bottle book glasses sunglasses background " +
            "man woman person people pedestrian guy lady girl boy gentleman child male female adult student"));

    /// <summary>All colours of a caption in the order they stand.</summary>
    public static IReadOnlyList<ColourMention> Read(string caption)
    {
        ArgumentNullException.ThrowIfNull(caption);
        var tokens = Tokens(caption);
        var found = new List<ColourMention>();
        var pending = new List<ColourMention>();
        var (lastNoun, lastStart, lastPart) = ("", -1, BodyPart.Body);

        void Attach(string noun, int start, BodyPart part)
        {
            foreach (var mention in pending) found.Add(mention with { Garment = noun, GarmentStart = start, Part = part });
            pending.Clear();
        }

        for (var i = 0; i < tokens.Count; i++)
        {
            var (word, start) = tokens[i];
            if (word is "." or ";" or ":" || (word == "," && !ColourFollows(tokens, i)))
            {
                Attach(lastNoun, lastStart, lastPart);
                if (word == ".") (lastNoun, lastStart, lastPart) = ("", -1, BodyPart.Body);
            }
            else if (ReadColour(tokens, ref i) is { } mention)
                pending.Add(mention);
            else if (Nouns.TryGetValue(word, out var part))
            {
                Attach(word, start, part);
                if (part != BodyPart.None) (lastNoun, lastStart, lastPart) = (word, start, part);
            }
        }
        Attach(lastNoun, lastStart, lastPart);
        return found;
    }

    // Modifiers and the colour after them, as one mention; leaves i on its last token.
    private static ColourMention? ReadColour(List<(string Word, int Start)> tokens, ref int i)
    {
        var first = i;
        float shift = 0;
        var next = i;
        while (next < tokens.Count && ColourVocabulary.TryModifier(tokens[next].Word, out var s) && next - first < 2)
        {
            // "navy" and "olive" are colours, and modifiers only before another colour: "navy blue".
            var isColourItself = ColourVocabulary.TryColour(tokens[next].Word, out _, out _);
            if (isColourItself && !(next + 1 < tokens.Count && ColourVocabulary.TryColour(tokens[next + 1].Word, out _, out _))) break;
            shift = Math.Clamp(shift + s, -0.8f, 0.8f);
            next++;
        }
        if (next < tokens.Count && ColourVocabulary.TryColour(tokens[next].Word, out var basic, out var shades))
        {
            i = next;
            return Mention(tokens, first, next, basic, [.. shades.Select(c => ColourVocabulary.Shift(c, shift))]);
        }
        var alone = ColourVocabulary.Alone(tokens[first].Word);
        return alone.Length > 0 ? Mention(tokens, first, first, "", alone) : null;
    }

    private static ColourMention Mention(List<(string Word, int Start)> tokens, int first, int last, string basic, (byte, byte, byte)[] shades) =>
        new(tokens[first].Start, tokens[last].Start + tokens[last].Word.Length - tokens[first].Start, basic, shades, "", -1, BodyPart.Body);

    private static bool ColourFollows(List<(string Word, int Start)> tokens, int comma)
    {
        var before = comma > 0 ? tokens[comma - 1].Word : "";
        var after = comma + 1 < tokens.Count ? tokens[comma + 1].Word : "";
        return ColourVocabulary.TryColour(before, out _, out _) && ColourVocabulary.TryColour(after, out _, out _);
    }

    // Lower-case words (hyphens part them: "dark-haired" is two) and the marks that end a clause.
    private static List<(string Word, int Start)> Tokens(string caption)
    {
        var tokens = new List<(string, int)>();
        for (var i = 0; i < caption.Length;)
        {
            if (char.IsLetter(caption[i]))
            {
                var start = i;
                while (i < caption.Length && (char.IsLetter(caption[i]) || caption[i] == '\'')) i++;
                tokens.Add((caption[start..i].ToLowerInvariant(), start));
                continue;
            }
            if (caption[i] is '.' or ',' or ';' or ':') tokens.Add((caption[i].ToString(), i));
            i++;
        }
        return tokens;
    }

    private static Dictionary<string, BodyPart> Table(params (BodyPart Part, string Words)[] rows)
    {
        var table = new Dictionary<string, BodyPart>(StringComparer.Ordinal);
        foreach (var (part, words) in rows)
            foreach (var word in words.Split(' ')) table.Add(word, part);
        return table;
    }
}
