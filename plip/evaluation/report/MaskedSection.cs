namespace Plip.Evaluation;

/// <summary>Masked attribute prediction: the caption with its masks filled in, and below it what the model thought of each.</summary>
internal static class MaskedSection
{
    /// <summary>Writes the section.</summary>
    public static void Write(HtmlWriter html, MaskedPredictions masked)
    {
        html.Leaf("p", $"{masked.Rule} Framed words were hidden from the model; the bars are its first answers with their probabilities, the true word in green.", ("class", "rule"));
        if (masked.Result is { } result)
            using (html.Open("p", ("class", "fidelity")))
                html.Leaf("strong", $"{Format.Percent(result.Accuracy)} %")
                    .Text($" of {Format.Count(result.Words)} masked words right at the first answer; always saying {(masked.BaselineWord.Length > 0 ? $"“{masked.BaselineWord}”" : "the most frequent word of the training split")} reaches {Format.Percent(result.Baseline)} %.");
        foreach (var caption in masked.Captions) Caption(html, caption);
    }

    private static void Caption(HtmlWriter html, MaskedCaption caption)
    {
        using var block = html.Line().Open("article", ("class", "masked"));
        if (caption.Picture is { } picture) PictureSections.Picture(html, picture, "the picture the model saw");
        using var body = html.Open("div", ("class", "masked-body"));
        using (html.Open("p", ("class", "caption")))
            for (var i = 0; i < caption.Words.Count; i++)
            {
                var word = caption.Words[i];
                if (i > 0 && !IsPunctuation(word.Text)) html.Text(" ");
                if (word.Predictions is null) html.Text(word.Text);
                else html.Leaf("span", word.Text, ("class", IsRight(word) ? "mask good" : "mask bad"));
            }
        using var list = html.Open("div", ("class", "guesses"));
        foreach (var word in caption.Words.Where(w => w.Predictions is not null)) Guesses(html, word);
    }

    private static void Guesses(HtmlWriter html, CaptionWord word)
    {
        using var block = html.Open("div", ("class", "guess"));
        html.Leaf("h4", word.Text, ("class", IsRight(word) ? "good" : "bad"));
        foreach (var (text, probability) in word.Predictions!)
        {
            using var line = html.Open("div", ("class", Same(text, word.Text) ? "bar true" : "bar"));
            html.Leaf("span", text, ("class", "word"));
            using (html.Open("span", ("class", "track")))
                html.Leaf("span", "", ("class", "fill"), ("style", $"width:{Format.Percent(Math.Clamp(probability, 0, 1))}%"));
            html.Leaf("span", $"{Format.Percent(probability)}", ("class", "number"));
        }
    }

    private static bool IsRight(CaptionWord word) => word.Predictions is { Count: > 0 } p && Same(p[0].Word, word.Text);

    private static bool Same(string a, string b) => string.Equals(a, b, StringComparison.OrdinalIgnoreCase);

    private static bool IsPunctuation(string text) => text.Length > 0 && text.All(c => char.IsPunctuation(c) && c is not ('(' or '“' or '['));
}
