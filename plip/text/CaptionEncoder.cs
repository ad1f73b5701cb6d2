using Plip.Engine;

namespace Plip.Text;

/// <summary>
/// What a data loader needs of text: ids of a caption, plain or with attribute phrases masked. Captions repeat (the same
/// sentence stands under several pictures, and every epoch asks again), so encodings are kept, up to a bound.
/// Safe for use by many threads; what is returned belongs to the caller.
/// </summary>
public sealed class CaptionEncoder : Data.ICaptionEncoder
{
    private readonly CaptionTokenizer _tokenizer;
    private readonly int _capacity;
    private readonly Lock _lock = new();

    // Two generations stand in for a least-recently-used list: when the young one is full it becomes the old one, and
    // what is asked for again moves back. At 64 tokens an entry is about 0.6 KB.
    private Dictionary<(string, int), EncodedCaption> _young = [], _old = [];

    /// <summary>Makes an encoder.</summary>
    /// <param name="tokenizer">The tokenizer whose ids are given.</param>
    /// <param name="capacity">How many encodings are kept at most; 32,768 take about 20 MB.</param>
    /// <exception cref="ArgumentOutOfRangeException">The capacity is below 2.</exception>
    public CaptionEncoder(CaptionTokenizer tokenizer, int capacity = 32_768)
    {
        if (capacity < 2) throw new ArgumentOutOfRangeException(nameof(capacity), capacity, "The cache keeps at least 2 captions.");
        (_tokenizer, _capacity) = (tokenizer, capacity);
    }

    /// <summary>The vocabulary whose ids are given.</summary>
    public Vocabulary Vocabulary => _tokenizer.Vocabulary;

    /// <summary>How many encodings are kept now; never more than the capacity.</summary>
    public int Cached
    {
        get
        {
            lock (_lock) return _young.Count + _old.Count;
        }
    }

    /// <summary>Token ids [CLS]…[SEP] of a caption, without padding.</summary>
    /// <exception cref="TextException">The caption has no word.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxTokens"/> is below 3.</exception>
    public int[] Encode(string caption, int maxTokens) => (int[])Get(caption, maxTokens).Ids.Clone();

    /// <summary>Token ids with attribute phrases masked, and what stood there (−100 elsewhere); see <see cref="PhraseMasking"/>.</summary>
    /// <param name="caption">The caption.</param>
    /// <param name="maxTokens">The largest length wanted, [CLS] and [SEP] included.</param>
    /// <param name="maskProbability">The probability of each phrase, in [0, 1].</param>
    /// <param name="random">The draws; the result is a function of the caption and of these alone.</param>
    /// <exception cref="TextException">The caption has no word.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxTokens"/> is below 3, or the probability is not in [0, 1].</exception>
    public (int[] ids, int[] labels) EncodeMasked(string caption, int maxTokens, float maskProbability, Philox random) =>
        PhraseMasking.Apply(Get(caption, maxTokens), maskProbability, Vocabulary.Mask, random);

    private EncodedCaption Get(string caption, int maxTokens)
    {
        ArgumentNullException.ThrowIfNull(caption);
        var key = (caption, maxTokens);
        lock (_lock)
        {
            if (_young.TryGetValue(key, out var found)) return found;
            if (_old.Remove(key, out found)) return Keep(key, found);
        }
        var made = _tokenizer.EncodeWithPhrases(caption, maxTokens); // outside the lock: two threads may both do it, to the same result
        lock (_lock) return Keep(key, made);
    }

    private EncodedCaption Keep((string, int) key, EncodedCaption value)
    {
        if (_young.Count >= _capacity / 2)
        {
            (_old, _young) = (_young, _old);
            _young.Clear();
        }
        _young[key] = value;
        _old.Remove(key);
        return value;
    }
}
