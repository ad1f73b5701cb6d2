using System.Text;

namespace Plip.Text;

/// <summary>
/// Learns a WordPiece vocabulary. In this order, until the size is reached:
/// the five specials; every character, as a word's beginning and as "##" continuation, so that any word over the
/// captions' alphabet (and plain ASCII) can be spelled; the most frequent whole words, for three quarters of what is left;
/// for the rest, pieces by byte-pair merges over the words that did not become tokens.
/// </summary>
/// <remarks>
/// Merges: Sennrich et al., arXiv:1508.07909. Ties are broken by ordinal comparison, so the result is a function of the
/// multiset of captions alone. A word or a pair seen once is never added: it would be a token with one example.
/// </remarks>
internal static class VocabularyTrainer
{
    private const string Ascii = "abcdefghijklmnopqrstuvwxyz0123456789";
    private const string Marks = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

    public static Vocabulary Learn(IEnumerable<string> captions, int size)
    {
        var words = Count(captions);
        if (words.Count == 0) throw new TextException("No caption holds a word: a vocabulary cannot be learned. Give at least one caption with text.");
        var tokens = new List<string>(Vocabulary.Specials);
        tokens.AddRange(Characters(words.Keys));
        if (tokens.Count > size)
            throw new ArgumentOutOfRangeException(nameof(size), size, $"The special tokens and the characters of these captions alone are {tokens.Count} tokens; ask for at least that many.");

        var known = new HashSet<string>(tokens, StringComparer.Ordinal);
        var ordered = words.OrderByDescending(w => w.Value).ThenBy(w => w.Key, StringComparer.Ordinal).ToArray();
        var budget = (size - tokens.Count) * 3L / 4;
        var rest = new List<(string Word, long Count)>();
        foreach (var (word, count) in ordered)
        {
            if (known.Contains(word)) continue;
            if (budget == 0 || count < 2)
            {
                rest.Add((word, count));
                continue;
            }
            known.Add(word);
            tokens.Add(word);
            budget--;
        }
        foreach (var piece in new PairMerges(rest).Pieces())
        {
            if (tokens.Count == size) break;
            if (known.Add(piece)) tokens.Add(piece);
        }
        return Vocabulary.FromLines(tokens, "learned vocabulary");
    }

    private static Dictionary<string, long> Count(IEnumerable<string> captions)
    {
        var counts = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var caption in captions)
            foreach (var word in BasicWords.Of(caption).Split())
                counts[word] = counts.GetValueOrDefault(word) + 1;
        return counts;
    }

    private static IEnumerable<string> Characters(IEnumerable<string> words)
    {
        // A mark is always a word of its own, so it needs no continuation.
        var starts = new SortedSet<string>(StringComparer.Ordinal);
        var continuations = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var c in Ascii) continuations.Add(c.ToString());
        starts.UnionWith(continuations);
        foreach (var c in Marks) starts.Add(c.ToString());
        foreach (var rune in words.SelectMany(word => word.EnumerateRunes()))
        {
            starts.Add(rune.ToString());
            if (!BasicWords.IsAlone(rune)) continuations.Add(rune.ToString());
        }
        return starts.Concat(continuations.Select(c => "##" + c));
    }

    /// <summary>Repeatedly joins the most frequent pair of neighbouring pieces and gives the joined piece.</summary>
    private sealed class PairMerges
    {
        private readonly List<(List<string> Pieces, long Count)> _words = [];
        private readonly Dictionary<(string, string), long> _counts = [];
        private readonly Dictionary<(string, string), HashSet<int>> _places = [];

        public PairMerges(List<(string Word, long Count)> words)
        {
            foreach (var (word, count) in words)
            {
                var pieces = word.EnumerateRunes().Select((r, i) => i == 0 ? r.ToString() : "##" + r).ToList();
                _words.Add((pieces, count));
                Tally(_words.Count - 1, +1);
            }
        }

        public IEnumerable<string> Pieces()
        {
            while (Best() is { } pair)
            {
                var piece = pair.Item1 + pair.Item2[2..];
                foreach (var w in _places[pair].ToArray())
                {
                    Tally(w, -1);
                    var pieces = _words[w].Pieces;
                    for (var i = 0; i + 1 < pieces.Count; i++)
                    {
                        if (pieces[i] != pair.Item1 || pieces[i + 1] != pair.Item2) continue;
                        pieces[i] = piece;
                        pieces.RemoveAt(i + 1);
                    }
                    Tally(w, +1);
                }
                yield return piece;
            }
        }

        private (string, string)? Best()
        {
            (string, string)? best = null;
            var most = 1L;
            foreach (var (pair, count) in _counts)
            {
                if (count < most || count == most && (best is null || Compare(pair, best.Value) >= 0)) continue;
                (best, most) = (pair, count);
            }
            return best;
        }

        private static int Compare((string, string) a, (string, string) b)
        {
            var first = string.CompareOrdinal(a.Item1, b.Item1);
            return first != 0 ? first : string.CompareOrdinal(a.Item2, b.Item2);
        }

        private void Tally(int word, int sign)
        {
            var (pieces, count) = _words[word];
            for (var i = 0; i + 1 < pieces.Count; i++)
            {
                var pair = (pieces[i], pieces[i + 1]);
                var total = _counts.GetValueOrDefault(pair) + sign * count;
                if (total > 0) _counts[pair] = total;
                else _counts.Remove(pair);
                if (!_places.TryGetValue(pair, out var places)) _places[pair] = places = [];
                if (sign > 0) places.Add(word);
                else places.Remove(word);
            }
        }
    }
}
