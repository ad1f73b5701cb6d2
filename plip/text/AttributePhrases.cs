namespace Plip.Text;

/// <summary>An attribute phrase: the characters [Start, End) of a caption, without article.</summary>
/// <param name="Start">First character.</param>
/// <param name="End">One past the last character.</param>
/// <param name="Kind">What it speaks of.</param>
public readonly record struct AttributePhrase(int Start, int End, AttributeKind Kind)
{
    /// <summary>The phrase's text.</summary>
    public string In(string caption) => caption[Start..End];
}

/// <summary>
/// Finds attribute phrases in an English description of a person: words of a lexicon joined by a small finite pattern.
/// <code>
/// phrase     = modifiers? noun noun* ("of" modifiers? noun)? predicate?      "black and white long-sleeved t-shirt"
/// modifiers  = modifier+ (("," | "and" | "or" | "to" | "/") modifier+)*      "short, dark brown"
/// predicate  = ("that" | "which")? copula+ "a"? modifiers ("in color")?      "jeans that are dark blue"
/// alone      = modifiers with a colour, an age or a hair word in it           "dressed in black", "is elderly", "bald"
/// </code>
/// A person's noun takes no predicate and a hair word before another noun stands alone, so that "a bald man" gives two
/// phrases; nouns joined by "and" give one each. Pronouns are no phrases.
/// </summary>
/// <remarks>One pass; modifiers are looked at over <see cref="LongestRun"/> words at most, so time is linear in the caption.</remarks>
public static class AttributePhrases
{
    private const int LongestRun = 16;

    /// <summary>The attribute phrases in the order they stand; they do not overlap.</summary>
    /// <param name="caption">Any text; one that says nothing of a person gives none.</param>
    public static AttributePhrase[] Find(string caption)
    {
        ArgumentNullException.ThrowIfNull(caption);
        return new Scan(CaptionWords.Of(caption)).Run();
    }

    private sealed class Scan(List<CaptionWord> words)
    {
        private readonly List<AttributePhrase> _found = [];
        private AttributeKind? _garment; // the last one named: details ("with white stripes") belong to it
        private int _lastEnd = -1;       // the word after the last phrase

        public AttributePhrase[] Run()
        {
            for (var i = 0; i < words.Count;)
                i = words[i].Modifies || words[i].Names ? Phrase(i) : i + 1;
            return [.. _found];
        }

        // Reads what begins at word i and returns the word to go on with.
        private int Phrase(int i)
        {
            var run = Modifiers(i);
            var noun = run.End;
            var named = noun < words.Count && words[noun].Names && (noun == i || words[noun].Adjoins);
            if (!named)
            {
                Alone(i, run.End);
                return run.End;
            }
            var (end, kind) = Nouns(noun);
            var start = kind == AttributeKind.Hair ? i : AfterHairModifiers(i, noun);
            var bare = !Between(start, noun).Any(w => words[w].Role != WordRole.Degree || words[w].Text == "no");
            if (bare) start = noun;
            var predicate = kind == AttributeKind.Person ? end : Predicate(end, kind);
            if (words[noun].Role == WordRole.Part && end == noun + 1 && bare && predicate == end) return end;
            Emit(start, predicate, kind);
            return predicate;
        }

        // modifier+ (link modifier+)*; Cut is the end before the last link, for when the rest belongs to the next noun.
        private (int End, int Cut) Modifiers(int i)
        {
            var listed = i > 0 && words[i - 1].Text is "in" or "wearing" or "wears" or "dressed";
            var (end, cut) = (i, i);
            var colour = false;
            var limit = Math.Min(words.Count, i + LongestRun);
            while (end < limit)
            {
                var next = end;
                if (end > i && !(words[end].Modifies && words[end].Adjoins))
                {
                    next = AfterLink(end);
                    if (next < 0 || next >= limit) break;
                    // "in black, white shoes": a comma after a colour does not link two colours, or anything after "in",
                    // unless it stands within a list that ends in "and".
                    var comma = words[end].Gap == WordGap.Comma && next == end;
                    if (comma && colour && (listed || HasColour(next)) && !ListEndsInAnd(next)) break;
                    cut = end;
                }
                else if (!words[end].Modifies) break;
                colour |= words[next].Role == WordRole.Colour;
                end = next + 1;
            }
            return (end, cut);
        }

        // The modifier that a link before or at word i leads to, or −1.
        private int AfterLink(int i)
        {
            var word = words[i];
            if (word.Modifies && word.Gap is WordGap.Comma or WordGap.Slash) return i;
            if (word.Gap == WordGap.Break || word.Text is not ("and" or "or" or "to")) return -1;
            return i + 1 < words.Count && words[i + 1].Modifies && words[i + 1].Adjoins ? i + 1 : -1;
        }

        private bool HasColour(int i)
        {
            for (; i < words.Count && words[i].Modifies; i++)
            {
                if (words[i].Role == WordRole.Colour) return true;
                if (i + 1 < words.Count && !words[i + 1].Adjoins) return false;
            }
            return false;
        }

        private bool ListEndsInAnd(int i)
        {
            for (var limit = Math.Min(words.Count, i + LongestRun); i < limit && words[i].Gap != WordGap.Break; i++)
            {
                if (words[i].Text is "and" or "or") return i + 1 < words.Count && words[i + 1].Modifies;
                if (!words[i].Modifies) return false;
            }
            return false;
        }

        private (int End, AttributeKind Kind) Nouns(int noun)
        {
            var end = noun + 1;
            while (end < words.Count && words[end].Names && words[end].Adjoins && Merges(words[end - 1], words[end])) end++;
            var last = words[end - 1];
            if (last.Role == WordRole.Container && end + 1 < words.Count && words[end].Text == "of" && words[end].Adjoins)
            {
                var content = words[end + 1].Modifies ? Modifiers(end + 1).End : end + 1;
                if (content < words.Count && words[content].Names && words[content].Adjoins) return (content + 1, AttributeKind.Belongings);
            }
            return (end, last.Kind ?? _garment ?? AttributeKind.Upper);
        }

        // "suit jacket" is one thing, "haired man" two.
        private static bool Merges(CaptionWord a, CaptionWord b) =>
            a.Kind == b.Kind || a.Kind is not (AttributeKind.Person or AttributeKind.Hair) && b.Kind is not (AttributeKind.Person or AttributeKind.Hair);

        // Gives hair words before another noun as phrases and returns where the noun's own modifiers begin.
        private int AfterHairModifiers(int i, int noun)
        {
            var last = -1;
            for (var w = i; w < noun; w++)
                if (words[w].Role == WordRole.HairModifier) last = w;
            if (last < 0) return i;
            Alone(i, last + 1);
            var start = last + 1;
            while (start < noun && !words[start].Modifies) start++;
            return start;
        }

        // Modifiers without a noun: hair words apart, the rest if it holds a colour, an age or a build.
        private void Alone(int from, int to)
        {
            var start = from;
            for (var w = from; w <= to; w++)
            {
                if (w < to && words[w].Role != WordRole.HairModifier) continue;
                Coloured(start, w);
                if (w < to) Emit(w, w + 1, AttributeKind.Hair);
                start = w + 1;
            }
        }

        private void Coloured(int from, int to)
        {
            while (from < to && !words[from].Modifies) from++;
            while (to > from && (!words[to - 1].Modifies || words[to - 1].Role == WordRole.Degree)) to--;
            var colour = Between(from, to).Any(w => words[w].Role == WordRole.Colour);
            var person = Between(from, to).Any(w => words[w].Role == WordRole.PersonModifier);
            if (colour) Emit(from, to, words[from].Text == "all" ? AttributeKind.FullBody : Wearing(from));
            else if (person) Emit(from, to, AttributeKind.Person);
        }

        private AttributeKind Wearing(int i) => (i > 0 ? words[i - 1].Text : "") switch
        {
            "in" when _lastEnd == i - 1 && _garment is { } garment => garment, // "a shirt in red"
            "in" or "wearing" or "wears" or "wore" or "dressed" => AttributeKind.FullBody,
            _ => AttributeKind.Other,
        };

        // The end of "that are dark blue" after a noun that ends at word i, or i where there is no such thing.
        private int Predicate(int i, AttributeKind kind)
        {
            var at = i;
            if (at < words.Count && words[at].Text is "that" or "which" && words[at].Gap != WordGap.Break) at++;
            var relative = at > i;
            var copula = 0;
            while (at < words.Count && copula < 4 && IsCopula(words[at].Text) && words[at].Adjoins) (at, copula) = (at + 1, copula + 1);
            if (copula == 0 && relative) return i;
            var article = copula > 0 && at < words.Count && words[at].Text is "a" or "an";
            if (article) at++;
            if (at >= words.Count || !words[at].Modifies || !words[at].Adjoins) return i;
            var (end, cut) = Modifiers(at);
            var taken = end < words.Count && words[end].Names && words[end].Adjoins; // the last modifiers are another noun's
            if (taken) end = article ? at : cut;
            while (end > at && words[end - 1].Role == WordRole.Degree) end--;
            if (end <= at) return i;
            var inColour = end + 1 < words.Count && words[end].Text == "in" && words[end + 1].Text is "color" or "colour" or "length" or "style";
            if (inColour && !taken) return end + 2;
            return copula > 0 || kind == AttributeKind.Hair ? end : i;
        }

        private static bool IsCopula(string word) => word is "is" or "are" or "was" or "were" or "be" or "being" or "looks" or "look"
            or "appears" or "appear" or "seems" or "seem" or "to" or "cut" or "worn";

        private void Emit(int from, int to, AttributeKind kind)
        {
            _found.Add(new AttributePhrase(words[from].Start, words[to - 1].End, kind));
            _lastEnd = to;
            if (kind is not (AttributeKind.Person or AttributeKind.Hair or AttributeKind.Other)) _garment = kind;
        }

        private static IEnumerable<int> Between(int from, int to)
        {
            for (var w = from; w < to; w++) yield return w;
        }
    }
}
