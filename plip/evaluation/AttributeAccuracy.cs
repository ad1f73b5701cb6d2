namespace Plip.Evaluation;

/// <summary>The figures of masked attribute prediction.</summary>
/// <param name="Accuracy">Share of masked words predicted right at the first try.</param>
/// <param name="Baseline">Share reached by always answering <paramref name="BaselineWord"/>.</param>
/// <param name="BaselineWord">The most frequent masked word of the training split (token id).</param>
/// <param name="Words">Masked words measured.</param>
public sealed record AttributeResult(double Accuracy, double Baseline, int BaselineWord, long Words);

/// <summary>
/// Top-1 accuracy of masked attribute words beside the unigram baseline: the one word that was masked most often in
/// the training split, given for every mask. A model below it has learnt nothing from caption or picture.
/// </summary>
public sealed class AttributeAccuracy
{
    private long _words, _right, _baselineRight;

    /// <summary>Starts a count.</summary>
    /// <param name="trainingWords">How often each token was masked in the training split, by token id; ties go to the lower id.</param>
    /// <exception cref="ArgumentException">No word was counted.</exception>
    public AttributeAccuracy(ReadOnlySpan<long> trainingWords)
    {
        long most = 0;
        for (var id = 0; id < trainingWords.Length; id++)
            if (trainingWords[id] > most) (most, BaselineWord) = (trainingWords[id], id);
        if (most == 0) throw new ArgumentException("The unigram baseline needs at least one masked word of the training split.", nameof(trainingWords));
    }

    /// <summary>The baseline's one answer.</summary>
    public int BaselineWord { get; }

    /// <summary>Counts the words of one batch.</summary>
    /// <param name="logits">(M, vocabulary) scores of the masked positions; the highest is the answer, ties go to the lower id.</param>
    /// <param name="targets">(M) the words behind the masks.</param>
    /// <exception cref="ArgumentException">Sizes do not agree, a target is outside the vocabulary or a score is NaN.</exception>
    public void Add(ReadOnlySpan<float> logits, ReadOnlySpan<int> targets)
    {
        if (targets.IsEmpty && logits.IsEmpty) return;
        if (targets.IsEmpty || logits.Length % targets.Length != 0)
            throw new ArgumentException($"{logits.Length} scores do not divide among {targets.Length} masked words.");
        var vocabulary = logits.Length / targets.Length;
        Span<int> best = stackalloc int[1];
        for (var i = 0; i < targets.Length; i++)
        {
            if ((uint)targets[i] >= (uint)vocabulary)
                throw new ArgumentException($"Target {targets[i]} of masked word {i} is outside the vocabulary of {vocabulary}.", nameof(targets));
            Top(logits.Slice(i * vocabulary, vocabulary), best);
            _words++;
            if (best[0] == targets[i]) _right++;
            if (BaselineWord == targets[i]) _baselineRight++;
        }
    }

    /// <summary>The figures of everything added; zero where nothing was.</summary>
    public AttributeResult Result() => new((double)_right / Math.Max(1, _words), (double)_baselineRight / Math.Max(1, _words), BaselineWord, _words);

    /// <summary>The ids of the highest scores, best first, ties to the lower id; as many as <paramref name="best"/> holds.</summary>
    /// <exception cref="ArgumentException">A score is NaN, or there are fewer scores than places.</exception>
    public static void Top(ReadOnlySpan<float> scores, Span<int> best)
    {
        if (best.Length > scores.Length) throw new ArgumentException($"{best.Length} best of {scores.Length} scores.", nameof(best));
        var filled = 0;
        for (var id = 0; id < scores.Length; id++)
        {
            if (float.IsNaN(scores[id])) throw new ArgumentException($"Score {id} is NaN.", nameof(scores));
            if (filled == best.Length && (filled == 0 || scores[id] <= scores[best[^1]])) continue;
            var place = filled < best.Length ? filled++ : filled - 1;
            while (place > 0 && scores[id] > scores[best[place - 1]])
            {
                best[place] = best[place - 1];
                place--;
            }
            best[place] = id;
        }
    }

    /// <summary>Probabilities of the given ids under the softmax of all scores, for a picture of the prediction.</summary>
    public static float[] Probabilities(ReadOnlySpan<float> scores, ReadOnlySpan<int> ids)
    {
        var max = float.NegativeInfinity;
        foreach (var s in scores) max = MathF.Max(max, s);
        double sum = 0;
        foreach (var s in scores) sum += Math.Exp(s - max);
        var p = new float[ids.Length];
        for (var i = 0; i < p.Length; i++) p[i] = (float)(Math.Exp(scores[ids[i]] - max) / sum);
        return p;
    }
}
