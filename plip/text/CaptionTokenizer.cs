using System.Text;
using Microsoft.ML.Tokenizers;

namespace Plip.Text;

/// <summary>
/// Uncased WordPiece tokenisation of captions (Devlin et al., arXiv:1810.04805): [CLS] pieces… [SEP], never padded.
/// A caption is data: "[MASK]" typed by a user is three words, not a special token. Safe for use by many threads.
/// </summary>
public sealed class CaptionTokenizer
{
    /// <summary>The number of tokens PLIP reads of a caption, [CLS] and [SEP] included.</summary>
    public const int DefaultMaxTokens = 64;

    private readonly BertTokenizer _pieces;

    /// <summary>Makes a tokenizer for a vocabulary.</summary>
    public CaptionTokenizer(Vocabulary vocabulary)
    {
        Vocabulary = vocabulary;
        using var lines = new MemoryStream(Encoding.UTF8.GetBytes(string.Join('\n', vocabulary.Lines) + "\n"));
        // BasicWords has done the package's basic pass (its remarks say why); what remains is greedy longest match.
        // A bracket is always a word of its own there, so no word can spell a special token.
        _pieces = BertTokenizer.Create(lines, new BertOptions
        {
            ApplyBasicTokenization = false,
            LowerCaseBeforeTokenization = false,
            SplitOnSpecialTokens = false,
        });
    }

    /// <summary>The vocabulary whose ids are given.</summary>
    public Vocabulary Vocabulary { get; }

    /// <summary>Token ids of a caption.</summary>
    /// <param name="caption">Any text; white space of every kind separates words.</param>
    /// <param name="maxTokens">The largest length wanted, [CLS] and [SEP] included; a longer caption loses its end but keeps [SEP].</param>
    /// <returns>Between 3 and <paramref name="maxTokens"/> ids.</returns>
    /// <exception cref="TextException">The caption has no word: empty, blanks, or only invisible characters.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxTokens"/> is below 3.</exception>
    public int[] Encode(string caption, int maxTokens = DefaultMaxTokens)
    {
        var pieces = Pieces(caption, maxTokens, out _);
        return Frame(pieces);
    }

    /// <summary>Token ids of a caption and the token ranges of its attribute phrases (<see cref="AttributePhrases"/>).</summary>
    /// <param name="caption">As for <see cref="Encode"/>.</param>
    /// <param name="maxTokens">As for <see cref="Encode"/>.</param>
    /// <exception cref="TextException">The caption has no word.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxTokens"/> is below 3.</exception>
    public EncodedCaption EncodeWithPhrases(string caption, int maxTokens = DefaultMaxTokens)
    {
        var pieces = Pieces(caption, maxTokens, out var words);
        var ranges = new List<TokenRange>();
        var token = 0;
        foreach (var phrase in AttributePhrases.Find(caption))
        {
            while (token < pieces.Count && Source(token).End <= phrase.Start) token++;
            var first = token;
            while (token < pieces.Count && Source(token).Start < phrase.End) token++;
            if (token > first) ranges.Add(new TokenRange(first + 1, token + 1, phrase.Kind));
        }
        return new EncodedCaption(Frame(pieces), [.. ranges]);

        (int Start, int End) Source(int i) => words.Source(pieces[i].Offset.Start.Value, pieces[i].Offset.End.Value);
    }

    /// <summary>
    /// Readable text of token ids: pieces joined, blanks before closing punctuation and around hyphens removed,
    /// [CLS], [SEP] and [PAD] left out; [MASK] and [UNK] stay visible. Case and accents are gone for good.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">An id is not in the vocabulary.</exception>
    public string Decode(IEnumerable<int> ids)
    {
        var text = new StringBuilder();
        foreach (var id in ids)
        {
            var token = Vocabulary[id];
            if (id == Vocabulary.Cls || id == Vocabulary.Sep || id == Vocabulary.Pad) continue;
            if (token.StartsWith("##", StringComparison.Ordinal) && text.Length > 0)
            {
                text.Append(token, 2, token.Length - 2);
                continue;
            }
            var glued = text.Length == 0 || token is "." or "," or "!" or "?" or ";" or ":" or ")" or "-" or "'" or "/"
                || text[^1] is '(' or '-' or '\'' or '/';
            if (!glued) text.Append(' ');
            text.Append(token);
        }
        return text.ToString();
    }

    private List<EncodedToken> Pieces(string caption, int maxTokens, out BasicWords words)
    {
        ArgumentNullException.ThrowIfNull(caption);
        if (maxTokens < 3) throw new ArgumentOutOfRangeException(nameof(maxTokens), maxTokens, "A caption needs at least 3 tokens: [CLS], one word and [SEP].");
        // Every word gives a token, so words beyond the limit cannot matter: a very long caption costs no more than a long one.
        words = BasicWords.Of(caption, maxTokens - 2);
        if (words.Count == 0)
            throw new TextException("Empty caption: it holds no word, only blanks or invisible characters. Give a text such as \"a man in a red jacket\", or leave the picture out.");
        var pieces = _pieces.EncodeToTokens(words.Text, out _);
        return [.. pieces.Take(maxTokens - 2)];
    }

    private int[] Frame(List<EncodedToken> pieces)
    {
        var ids = new int[pieces.Count + 2];
        ids[0] = Vocabulary.Cls;
        for (var i = 0; i < pieces.Count; i++) ids[i + 1] = pieces[i].Id;
        ids[^1] = Vocabulary.Sep;
        return ids;
    }
}
