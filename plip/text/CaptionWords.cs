using System.Globalization;

namespace Plip.Text;

/// <summary>What stands between a word and the one before it.</summary>
internal enum WordGap
{
    Blank,
    Hyphen,
    Slash,
    Comma,
    Break,
}

/// <summary>A word, or several that form one entry of the lexicon, with its span [Start, End) in the caption.</summary>
internal readonly record struct CaptionWord(string Text, int Start, int End, WordGap Gap, WordRole Role, AttributeKind? Kind)
{
    public bool Modifies => Role is WordRole.Degree or WordRole.Modifier or WordRole.Colour or WordRole.PersonModifier or WordRole.HairModifier;

    public bool Names => Role is WordRole.Noun or WordRole.Part or WordRole.Container;

    /// <summary>Whether nothing but a blank or a hyphen separates it from the word before.</summary>
    public bool Adjoins => Gap is WordGap.Blank or WordGap.Hyphen;
}

/// <summary>Cuts a caption into words and looks them up: the tagging pass before <see cref="AttributePhrases"/>.</summary>
internal static class CaptionWords
{
    // Words that a hyphen must not turn into a modifier ("black-and-white").
    private static readonly HashSet<string> Links = ["and", "or", "to", "in", "on", "of", "with", "the", "a", "by", "up", "off", "down", "at", "is", "not"];

    public static List<CaptionWord> Of(string caption)
    {
        var atoms = Atoms(caption);
        var words = new List<CaptionWord>(atoms.Count);
        for (var i = 0; i < atoms.Count;)
        {
            var (entry, length) = Match(atoms, i);
            words.Add(atoms[i] with { End = atoms[i + length - 1].End, Role = entry.Role, Kind = entry.Kind });
            i += length;
        }
        for (var i = 0; i < words.Count; i++)
        {
            if (IsPlace(words, i)) words[i] = words[i] with { Role = WordRole.None, Kind = null };
            else if (words[i].Role == WordRole.None && JoinsPhrase(words, i)) words[i] = words[i] with { Role = WordRole.Modifier };
        }
        return words;
    }

    private static List<CaptionWord> Atoms(string caption)
    {
        var atoms = new List<CaptionWord>();
        var gap = WordGap.Break;
        for (var i = 0; i < caption.Length;)
        {
            if (!InWord(caption[i]))
            {
                gap = Wider(gap, caption[i]);
                i++;
                continue;
            }
            var start = i;
            while (i < caption.Length && InWord(caption[i])) i++;
            atoms.Add(new CaptionWord(BasicWords.Fold(caption[start..i]), start, i, gap, WordRole.None, null));
            gap = WordGap.Blank;
            // What follows an apostrophe ('s, n't) is no word; a possessor never continues a phrase.
            if (i + 1 < caption.Length && caption[i] is '\'' or '\u2019' && char.IsLetter(caption[i + 1]))
            {
                i++;
                while (i < caption.Length && InWord(caption[i])) i++;
                gap = WordGap.Break;
            }
        }
        return atoms;
    }

    private static bool InWord(char c) => char.IsLetterOrDigit(c)
        || CharUnicodeInfo.GetUnicodeCategory(c) is UnicodeCategory.NonSpacingMark or UnicodeCategory.Surrogate or UnicodeCategory.Format;

    private static WordGap Wider(WordGap gap, char c)
    {
        var next = c switch
        {
            '-' or '\u2010' or '\u2011' => WordGap.Hyphen,
            '/' or '&' => WordGap.Slash,
            ',' => WordGap.Comma,
            _ when char.IsWhiteSpace(c) => WordGap.Blank,
            _ => WordGap.Break,
        };
        return next > gap ? next : gap;
    }

    private static (WordEntry Entry, int Length) Match(List<CaptionWord> atoms, int at)
    {
        var first = atoms[at].Text;
        if (AttributeLexicon.Starts(first))
        {
            var text = first;
            var best = (Entry: default(WordEntry), Length: 0);
            for (var length = 2; length <= AttributeLexicon.LongestEntry && at + length <= atoms.Count; length++)
            {
                var next = atoms[at + length - 1];
                if (next.Gap > WordGap.Slash) break;
                text += " " + next.Text;
                if (AttributeLexicon.TryGet(text, out var longer)) best = (longer, length);
            }
            if (best.Length > 0) return best;
        }
        AttributeLexicon.TryGet(first, out var entry);
        return (entry, 1);
    }

    // "on top", "at the top", "top of his head" are places and no garments; "the camera" is the one that took the picture.
    private static bool IsPlace(List<CaptionWord> words, int i)
    {
        string At(int k) => k >= 0 && k < words.Count ? words[k].Text : "";
        if (words[i].Text == "camera") return At(i - 1) == "the";
        if (words[i].Text != "top") return false;
        return At(i + 1) == "of" || At(i - 1) is "on" || At(i - 1) == "the" && At(i - 2) is "at" or "on" or "near" or "from" or "to";
    }

    // "pea-coat", "black-trimmed": an unknown word that a hyphen ties to a known one shares its phrase.
    private static bool JoinsPhrase(List<CaptionWord> words, int i)
    {
        if (Links.Contains(words[i].Text)) return false;
        var before = i > 0 && words[i].Gap == WordGap.Hyphen && words[i - 1].Modifies;
        var after = i + 1 < words.Count && words[i + 1].Gap == WordGap.Hyphen && (words[i + 1].Modifies || words[i + 1].Names);
        return before || after;
    }
}
