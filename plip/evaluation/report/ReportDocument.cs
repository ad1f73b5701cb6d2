namespace Plip.Evaluation;

/// <summary>
/// Everything a report shows, as plain values. A section that is null or empty is left out, and so is its entry in the
/// contents. <see cref="ReportBuilder"/> turns it into one HTML file.
/// </summary>
public sealed record ReportDocument
{
    /// <summary>The heading.</summary>
    public required string Title { get; init; }

    /// <summary>A sentence or two below it: what was trained on what, and what came out.</summary>
    public string Summary { get; init; } = "";

    /// <summary>When it was made, as it should read; the builder asks no clock.</summary>
    public string Date { get; init; } = "";

    /// <summary>The three to six figures everybody looks for.</summary>
    public IReadOnlyList<Headline> Headlines { get; init; } = [];

    /// <summary>Loss of each task over the run.</summary>
    public IReadOnlyList<Curve> Losses { get; init; } = [];

    /// <summary>Figures over the run, each with its levels for comparison: R@1, mAP.</summary>
    public IReadOnlyList<Curve> Progress { get; init; } = [];

    /// <summary>Queries and what they found.</summary>
    public RetrievalGallery? Gallery { get; init; }

    /// <summary>Recoloured gray pictures.</summary>
    public ColorizationGrid? Colorization { get; init; }

    /// <summary>Captions with masked words and their predictions.</summary>
    public MaskedPredictions? Masked { get; init; }

    /// <summary>The figures with everything needed to compare them.</summary>
    public IReadOnlyList<FigureRow> Figures { get; init; } = [];

    /// <summary>The machine: cores, vector width, .NET version, …</summary>
    public IReadOnlyList<NamedValue> Machine { get; init; } = [];

    /// <summary>Where the time went.</summary>
    public IReadOnlyList<PhaseTime> Phases { get; init; } = [];

    /// <summary>The settings of the run.</summary>
    public IReadOnlyList<NamedValue> Settings { get; init; } = [];

    /// <summary>Closing remarks: limits, what a figure does not say.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];
}

/// <summary>A figure set large.</summary>
/// <param name="Label">What it is ("R@1, text→image").</param>
/// <param name="Value">As it should read ("59.6").</param>
/// <param name="Unit">Set small after it ("%", "min").</param>
/// <param name="Context">The line below: what to hold it against ("chance 0.5 %, colour words 12.1 %").</param>
public sealed record Headline(string Label, string Value, string Unit = "", string Context = "");

/// <summary>One line chart.</summary>
/// <param name="Name">Its heading.</param>
/// <param name="Points">(x, y) by rising x; values that are not finite break the line and are counted below it.</param>
/// <param name="XLabel">What x counts ("samples seen").</param>
/// <param name="YLabel">What y is.</param>
public sealed record Curve(string Name, IReadOnlyList<CurvePoint> Points, string XLabel, string YLabel)
{
    /// <summary>Draw y by its logarithm. Values of 0 and below cannot stand on it and are treated as not finite.</summary>
    public bool Logarithmic { get; init; }

    /// <summary>Draw the raw values faint and a smoothed line over them; otherwise one line with its points.</summary>
    public bool Smooth { get; init; } = true;

    /// <summary>Levels drawn as dashed lines: chance, a baseline.</summary>
    public IReadOnlyList<(string Label, double Value)> Levels { get; init; } = [];
}

/// <summary>A point of a curve.</summary>
public readonly record struct CurvePoint(double X, double Y);

/// <summary>A picture: (Height, Width, 3) RGB bytes.</summary>
/// <param name="Width">Pixels.</param>
/// <param name="Height">Pixels.</param>
/// <param name="Rgb">Row-major; 3 · Width · Height bytes.</param>
public sealed record ReportPicture(int Width, int Height, byte[] Rgb);

/// <summary>The retrieval gallery.</summary>
/// <param name="Rule">How the queries were chosen ("every 200th query of the test split").</param>
/// <param name="Queries">The queries, in order.</param>
public sealed record RetrievalGallery(string Rule, IReadOnlyList<GalleryQuery> Queries);

/// <summary>A query and its first hits.</summary>
/// <param name="Text">The caption.</param>
/// <param name="Hits">Best first.</param>
/// <param name="FirstRight">Rank of the first right picture, or 0 if unknown.</param>
public sealed record GalleryQuery(string Text, IReadOnlyList<GalleryHit> Hits, int FirstRight = 0);

/// <summary>One picture found.</summary>
/// <param name="Picture">The picture.</param>
/// <param name="Right">Whether it shows the person described.</param>
/// <param name="Score">Cosine similarity.</param>
public sealed record GalleryHit(ReportPicture Picture, bool Right, float Score);

/// <summary>The colorization grid; all rows name the same swap colours in the same order.</summary>
/// <param name="Rule">How the pictures were chosen.</param>
/// <param name="Rows">The pictures.</param>
/// <param name="Fidelity">The fidelity test, or null where it was not run.</param>
public sealed record ColorizationGrid(string Rule, IReadOnlyList<ColorizationRow> Rows, FidelityResult? Fidelity = null);

/// <summary>One person: gray, predicted, recoloured, true.</summary>
/// <param name="Caption">The caption the prediction was given.</param>
/// <param name="Swapped">The words of it that the swaps replace (<see cref="CaptionSwap.Find"/>), or null for none.</param>
/// <param name="Gray">The input.</param>
/// <param name="Prediction">For the caption.</param>
/// <param name="Swaps">For the caption with another colour word.</param>
/// <param name="Truth">The colour picture.</param>
public sealed record ColorizationRow(
    string Caption, SwapSite? Swapped, ReportPicture Gray, ReportPicture Prediction, IReadOnlyList<SwapPicture> Swaps, ReportPicture Truth);

/// <summary>A prediction for a swapped colour word.</summary>
/// <param name="Colour">The colour named.</param>
/// <param name="Picture">The prediction.</param>
public sealed record SwapPicture(NamedColour Colour, ReportPicture Picture);

/// <summary>Masked attribute prediction.</summary>
/// <param name="Rule">How captions and masks were chosen.</param>
/// <param name="Captions">The captions.</param>
/// <param name="Result">Accuracy and baseline, or null where not measured.</param>
public sealed record MaskedPredictions(string Rule, IReadOnlyList<MaskedCaption> Captions, AttributeResult? Result = null)
{
    /// <summary>The baseline's one answer as a word.</summary>
    public string BaselineWord { get; init; } = "";
}

/// <summary>A caption in pieces, in reading order.</summary>
/// <param name="Words">Words as they should read, with the masked ones marked.</param>
/// <param name="Picture">The picture the model saw, or null.</param>
public sealed record MaskedCaption(IReadOnlyList<CaptionWord> Words, ReportPicture? Picture = null);

/// <summary>A word of a caption.</summary>
/// <param name="Text">The true word.</param>
/// <param name="Predictions">Null where it was not masked; else the first predictions, best first.</param>
public sealed record CaptionWord(string Text, IReadOnlyList<WordPrediction>? Predictions = null);

/// <summary>A predicted word.</summary>
/// <param name="Word">The word.</param>
/// <param name="Probability">In [0, 1].</param>
public sealed record WordPrediction(string Word, double Probability);

/// <summary>A row of the table of figures.</summary>
/// <param name="Name">Whose figures: the model, chance, colour words.</param>
/// <param name="Result">Retrieval figures.</param>
/// <param name="DataSet">The data set.</param>
/// <param name="Split">The split.</param>
/// <param name="Checkpoint">Hash of the checkpoint; empty for what has none.</param>
/// <param name="IsModel">Set strong; the rows to hold it against are set plain.</param>
public sealed record FigureRow(string Name, RetrievalResult Result, string DataSet, string Split, string Checkpoint = "", bool IsModel = false)
{
    /// <summary>A row for the chance level of another row's protocol.</summary>
    public static FigureRow ForChance(ChanceLevel chance, FigureRow of) => new(
        "Chance (random ranking)",
        of.Result with { R1 = chance.R1, R5 = chance.R5, R10 = chance.R10, Map = chance.Map, MapTrap = chance.MapTrap, Minp = chance.Minp },
        of.DataSet, of.Split);
}

/// <summary>A name and its value.</summary>
public sealed record NamedValue(string Name, string Value);

/// <summary>Time of one phase.</summary>
/// <param name="Name">The phase.</param>
/// <param name="Duration">Wall-clock time.</param>
/// <param name="Detail">A remark ("1,310 samples/s").</param>
public sealed record PhaseTime(string Name, TimeSpan Duration, string Detail = "");
