using System.Text;

namespace Plip.Text;

/// <summary>
/// A WordPiece vocabulary: a list of tokens whose positions are the ids; a token that begins with "##" continues a word.
/// Reads and writes BERT's <c>vocab.txt</c> (UTF-8, one token a line) and can be learned from captions.
/// Immutable, so any number of threads may share one.
/// </summary>
public sealed class Vocabulary
{
    /// <summary>The five special tokens every vocabulary must hold, in the order BERT lists them.</summary>
    public static IReadOnlyList<string> Specials { get; } = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

    private readonly string[] _tokens;
    private readonly Dictionary<string, int> _ids;

    private Vocabulary(string[] tokens, Dictionary<string, int> ids)
    {
        (_tokens, _ids) = (tokens, ids);
        Pad = ids["[PAD]"];
        Unk = ids["[UNK]"];
        Cls = ids["[CLS]"];
        Sep = ids["[SEP]"];
        Mask = ids["[MASK]"];
    }

    /// <summary>Number of tokens; ids are 0..Size−1.</summary>
    public int Size => _tokens.Length;

    /// <summary>The tokens in the order of their ids: what a vocab.txt or a checkpoint stores.</summary>
    public IReadOnlyList<string> Lines => _tokens;

    /// <summary>Id of [PAD].</summary>
    public int Pad { get; }

    /// <summary>Id of [UNK], a word that cannot be spelled with this vocabulary.</summary>
    public int Unk { get; }

    /// <summary>Id of [CLS], the first token of every caption.</summary>
    public int Cls { get; }

    /// <summary>Id of [SEP], the last token of every caption.</summary>
    public int Sep { get; }

    /// <summary>Id of [MASK].</summary>
    public int Mask { get; }

    /// <summary>The token with this id.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The id is not in 0..Size−1.</exception>
    public string this[int id] => (uint)id < (uint)_tokens.Length ? _tokens[id]
        : throw new ArgumentOutOfRangeException(nameof(id), id, $"A token id of this vocabulary lies in 0..{Size - 1}.");

    /// <summary>Finds a token's id.</summary>
    /// <returns>Whether the vocabulary holds the token.</returns>
    public bool TryGetId(string token, out int id) => _ids.TryGetValue(token, out id);

    /// <summary>Whether the id is one of the five special tokens.</summary>
    public bool IsSpecial(int id) => id == Pad || id == Unk || id == Cls || id == Sep || id == Mask;

    /// <summary>Reads a <c>vocab.txt</c>.</summary>
    /// <param name="path">The file; lines may end in LF or CRLF.</param>
    /// <exception cref="TextException">The file is missing or empty, has an empty or repeated line, is not UTF-8, or lacks a special token.</exception>
    public static Vocabulary Load(string path)
    {
        string[] lines;
        try
        {
            lines = File.ReadAllLines(path, new UTF8Encoding(false, throwOnInvalidBytes: true));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new TextException($"{path}: no such vocabulary file. Give the path of a BERT vocab.txt (one token a line).");
        }
        catch (DecoderFallbackException)
        {
            throw new TextException($"{path}: not UTF-8 text. Expected a BERT vocab.txt, one token a line.");
        }
        return FromLines(lines, path);
    }

    /// <summary>Builds a vocabulary from its lines, as a checkpoint stores them.</summary>
    /// <param name="lines">The tokens in the order of their ids.</param>
    /// <param name="source">What to call the origin in an error, usually a file name.</param>
    /// <exception cref="TextException">No lines, an empty or repeated line, or a special token missing.</exception>
    public static Vocabulary FromLines(IEnumerable<string> lines, string source = "vocabulary")
    {
        var tokens = new List<string>();
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var raw in lines)
        {
            var token = raw.TrimEnd('\r');
            var line = tokens.Count + 1;
            if (token.Length == 0 || token == "##")
                throw new TextException($"{source}, line {line}: empty token. Every line must hold one token; ids are line numbers less one, so a blank line cannot be left out either.");
            if (token.AsSpan().IndexOfAny('\n', '\r') >= 0)
                throw new TextException($"{source}, line {line}: the token holds a line break. Give one token for each line.");
            if (!ids.TryAdd(token, tokens.Count))
                throw new TextException($"{source}, line {line}: token \"{token}\" is already on line {ids[token] + 1}. Remove one of them, and use the vocabulary the model was trained with.");
            tokens.Add(token);
        }
        if (tokens.Count == 0) throw new TextException($"{source}: empty. Expected a BERT vocabulary, one token a line.");
        var missing = Specials.Where(s => !ids.ContainsKey(s)).ToArray();
        if (missing.Length > 0)
            throw new TextException($"{source}: {string.Join(", ", missing)} missing in {tokens.Count} lines. Expected a BERT vocabulary with the lines {string.Join(", ", Specials)}.");
        return new Vocabulary([.. tokens], ids);
    }

    /// <summary>Learns a vocabulary from captions; see <see cref="VocabularyTrainer"/> for the rule. The same captions give the same vocabulary, whatever their order.</summary>
    /// <param name="captions">The training captions; empty ones count for nothing.</param>
    /// <param name="size">The largest size wanted; fewer tokens result when the captions are exhausted earlier.</param>
    /// <exception cref="TextException">No caption holds a word.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The size does not even hold the specials and the characters; the message says how many those are.</exception>
    public static Vocabulary Learn(IEnumerable<string> captions, int size) => VocabularyTrainer.Learn(captions, size);

    /// <summary>Writes a <c>vocab.txt</c>: UTF-8 without a mark, LF, one token a line.</summary>
    public void Save(string path) => File.WriteAllText(path, string.Join('\n', _tokens) + "\n", new UTF8Encoding(false));
}
