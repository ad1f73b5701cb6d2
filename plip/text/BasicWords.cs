using System.Globalization;
using System.Text;

namespace Plip.Text;

/// <summary>
/// The first half of uncased BERT's tokenisation: a caption becomes lower-case words without accents, one blank between
/// two, and every character still knows which span of the caption it came from.
/// </summary>
/// <remarks>
/// The rules are those of BERT's published BasicTokenizer. They are done here, and not by the tokenizer package, because
/// the package's own pass deletes tabs, newlines and every symbol that is neither letter nor punctuation ($, +, emoji),
/// throws on a lone surrogate, and reports offsets into a text it does not map back.
/// One liberty: \v, \f and U+0085 count as blanks; BERT's rule would glue the words around them together.
/// </remarks>
internal sealed class BasicWords
{
    private readonly StringBuilder _text = new();
    private readonly List<int> _start = [], _end = [];
    private bool _open; // whether the last word may still grow

    private BasicWords()
    {
    }

    /// <summary>The words, joined by one blank each.</summary>
    public string Text { get; private set; } = "";

    /// <summary>How many words were found (at most the limit asked for).</summary>
    public int Count { get; private set; }

    /// <summary>The caption's span [start, end) that the characters [from, to) of <see cref="Text"/> came from.</summary>
    public (int Start, int End) Source(int from, int to) => (_start[from], _end[to - 1]);

    /// <summary>Splits a caption; stops after <paramref name="limit"/> words, since each gives one token at least.</summary>
    public static BasicWords Of(string caption, int limit = int.MaxValue)
    {
        var words = new BasicWords();
        var at = 0;
        foreach (var rune in caption.EnumerateRunes())
        {
            // A lone surrogate is read as U+FFFD, which is three bytes in UTF-8 but one char here.
            var length = rune.Value == 0xFFFD ? 1 : rune.Utf16SequenceLength;
            if (!words.Add(rune, at, at + length, limit)) break;
            at += length;
        }
        words.Text = words._text.ToString();
        return words;
    }

    /// <summary>The words one by one.</summary>
    public string[] Split() => Text.Length == 0 ? [] : Text.Split(' ');

    private bool Add(Rune rune, int start, int end, int limit)
    {
        if (rune.IsAscii && Rune.IsLetterOrDigit(rune)) return Letter(Rune.ToLowerInvariant(rune), start, end, limit);
        if (Rune.IsWhiteSpace(rune))
        {
            _open = false;
            return true;
        }
        if (rune.Value == 0xFFFD || IsControl(rune)) return true;
        if (rune.IsAscii) return Alone(rune, start, end, limit);
        foreach (var part in rune.ToString().Normalize(NormalizationForm.FormD).EnumerateRunes())
        {
            if (Rune.GetUnicodeCategory(part) == UnicodeCategory.NonSpacingMark)
            {
                // The accent's span belongs to its letter, so that a phrase that ends in é ends after it.
                if (_open) _end[^1] = Math.Max(_end[^1], end);
                continue;
            }
            var lower = Rune.ToLowerInvariant(part);
            var more = IsAlone(lower)
                ? Alone(lower, start, end, limit) : Letter(lower, start, end, limit);
            if (!more) return false;
        }
        return true;
    }

    private bool Alone(Rune rune, int start, int end, int limit)
    {
        _open = false;
        var more = Letter(rune, start, end, limit);
        _open = false;
        return more;
    }

    private bool Letter(Rune rune, int start, int end, int limit)
    {
        if (!_open)
        {
            if (Count == limit) return false;
            if (Count++ > 0) Append(" ", start, start);
            _open = true;
        }
        Append(rune.ToString(), start, end);
        return true;
    }

    private void Append(string text, int start, int end)
    {
        _text.Append(text);
        foreach (var _ in text)
        {
            _start.Add(start);
            _end.Add(end);
        }
    }

    /// <summary>Whether the character is always a word of its own, so that it never continues one.</summary>
    public static bool IsAlone(Rune rune) => rune.IsAscii ? !Rune.IsLetterOrDigit(rune) : Rune.IsPunctuation(rune) || IsIdeograph(rune.Value);

    /// <summary>A word in the form the vocabulary and the lexicon hold it: lower case, without accents and invisible characters.</summary>
    public static string Fold(string word)
    {
        var folded = new StringBuilder(word.Length);
        foreach (var rune in word.EnumerateRunes())
        {
            if (rune.IsAscii)
            {
                folded.Append(char.ToLowerInvariant((char)rune.Value));
                continue;
            }
            if (rune.Value == 0xFFFD || IsControl(rune)) continue;
            foreach (var part in rune.ToString().Normalize(NormalizationForm.FormD).EnumerateRunes())
                if (Rune.GetUnicodeCategory(part) != UnicodeCategory.NonSpacingMark) folded.Append(Rune.ToLowerInvariant(part).ToString());
        }
        return folded.ToString();
    }

    private static bool IsControl(Rune rune) => Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control
        or UnicodeCategory.Format or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned;

    // The CJK blocks of BERT's rule: each such character is a word.
    private static bool IsIdeograph(int c) => c is (>= 0x4E00 and <= 0x9FFF) or (>= 0x3400 and <= 0x4DBF)
        or (>= 0x20000 and <= 0x2A6DF) or (>= 0x2A700 and <= 0x2B73F) or (>= 0x2B740 and <= 0x2B81F)
        or (>= 0x2B820 and <= 0x2CEAF) or (>= 0xF900 and <= 0xFAFF) or (>= 0x2F800 and <= 0x2FA1F);
}
