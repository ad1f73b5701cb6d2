using System.Globalization;
using Plip.Data;
using Plip.Evaluation;
using Plip.Training;

namespace Plip.Tool;

/// <summary>Puts a quickstart's figures and pictures into a report.</summary>
internal static class QuickstartReport
{
    private const int ColourRows = 6, MaskedRows = 6;

    public static ReportDocument Build(
        QuickstartResults results, string metrics, IReadOnlyList<PhaseTime> phases, IReadOnlyList<NamedValue> machine, TimeSpan total)
    {
        var config = results.Plip.Model.Config;
        var (text, chance) = (results.Retrieval.TextToImage.Outcome.Figures, results.Retrieval.TextToImage.Outcome.Chance);
        var entries = MetricsLog.Read(metrics).ToList();
        var row = new FigureRow("PLIP, text→image", text, Name(results.Test), "test", results.Plip.Hash, IsModel: true);
        return new ReportDocument
        {
            Title = "PLIP.Native quickstart",
            Summary = string.Create(CultureInfo.InvariantCulture, $"{config.Name} ({results.Plip.Step} steps of {config.Training.BatchSize} pairs) learnt from {results.Train.Images.Count} rendered pictures of {results.Train.Identities.Length} people with all three pretext tasks, then looked for {results.Test.Identities.Length} people it had never seen, by text. {total.TotalMinutes:0.0} minutes in all."),
            Date = DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture),
            Headlines = Headlines(results),
            Losses = [.. Losses(entries)],
            Progress =
            [
                Figure(entries, "r1", "R@1 on the validation split"),
                Figure(entries, "map", "mAP on the validation split"),
            ],
            Gallery = Gallery(results),
            Colorization = Colours(results),
            Masked = Masked(results),
            Figures =
            [
                row,
                new FigureRow("PLIP, image→text", results.Retrieval.ImageToText, Name(results.Test), "test", results.Plip.Hash, IsModel: true),
                new FigureRow("Colour words against colour histograms", results.Retrieval.Baseline, Name(results.Test), "test"),
                FigureRow.ForChance(chance, row),
                .. ZeroShot(results),
            ],
            Machine = machine,
            Phases = phases,
            Settings = Settings(results),
            Notes =
            [
                results.ZeroShot == null
                    ? "The people are rendered. Nothing here says how well the model finds real ones: evaluate a checkpoint on photographs with \"plip eval retrieval\", or give --photographs."
                    : "The people are rendered; the rows of photographs are zero-shot: nothing was trained on them or chosen by them.",
                "Queries, pictures and captions are chosen by rule (every k-th), not by hand.",
                "The best checkpoint was chosen on the validation split; the test identities were used once, for the figures above.",
            ],
        };
    }

    private static IEnumerable<FigureRow> ZeroShot(QuickstartResults r)
    {
        if (r.ZeroShot is not { } z) yield break;
        var row = new FigureRow("PLIP on photographs, zero-shot", z.TextToImage.Outcome.Figures, Name(r.Photographs!), "test", r.Plip.Hash, IsModel: true);
        yield return row;
        yield return new FigureRow("Colour words on photographs", z.Baseline, Name(r.Photographs!), "test");
        yield return FigureRow.ForChance(z.TextToImage.Outcome.Chance, row);
    }

    private static List<Headline> Headlines(QuickstartResults r)
    {
        var (f, c, b) = (r.Retrieval.TextToImage.Outcome.Figures, r.Retrieval.TextToImage.Outcome.Chance, r.Retrieval.Baseline);
        var list = new List<Headline>
        {
            new("R@1, text→image", P(f.R1), "%", $"chance {P(c.R1)} %, colour words {P(b.R1)} %"),
            new("mAP, text→image", P(f.Map), "%", $"chance {P(c.Map)} %, colour words {P(b.Map)} %"),
        };
        if (r.Attributes is { } a) list.Add(new Headline("masked words", P(a.Accuracy), "%", $"always \"{r.Plip.Captions.Vocabulary[a.BaselineWord]}\": {P(a.Baseline)} %"));
        if (r.Fidelity is { } s) list.Add(new Headline("colour words obeyed", P(s.Share), "%", string.Create(CultureInfo.InvariantCulture, $"of {s.Swaps} swaps")));
        return list;
    }

    private static IEnumerable<Curve> Losses(List<MetricsEntry> entries)
    {
        foreach (var (key, name) in new[] { ("ivlc", "Contrast (IVLC)"), ("tic", "Colorization (TIC)"), ("iap", "Attribute prediction (IAP)") })
        {
            var points = entries.Where(e => e.Kind == "train" && e.Values.ContainsKey(key)).Select(e => new CurvePoint(e.Step, e.Values[key])).ToList();
            if (points.Count > 0) yield return new Curve(name, points, "step", "loss") { Logarithmic = key == "tic" };
        }
    }

    private static Curve Figure(List<MetricsEntry> entries, string key, string name) =>
        new(name, [.. entries.Where(e => e.Kind == "validation").Select(e => new CurvePoint(e.Step, 100 * e.Values[key]))], "step", "%")
        {
            Smooth = false,
        };

    private static RetrievalGallery Gallery(QuickstartResults r)
    {
        var captions = r.Test.Images.SelectMany(i => i.Captions).ToArray();
        var queries = r.Retrieval.TextToImage.Outcome.Samples.Select(sample => new GalleryQuery(
            captions[sample.Query],
            [.. sample.Gallery.Select((g, k) => new GalleryHit(Load(r.Test.Images[g]), sample.Relevant[k], sample.Scores[k]))],
            sample.FirstRelevantRank));
        return new RetrievalGallery(string.Create(CultureInfo.InvariantCulture, $"Every {captions.Length / 8}th caption of the test split."), [.. queries]);
    }

    private static ColorizationGrid? Colours(QuickstartResults r)
    {
        if (r.Fidelity == null) return null;
        var colorizer = new Colorizer(r.Plip);
        var rows = new List<ColorizationRow>();
        var stride = Math.Max(1, r.Test.Images.Count / (2 * ColourRows));
        for (var i = 0; i < r.Test.Images.Count && rows.Count < ColourRows; i += stride)
        {
            var caption = r.Test.Images[i].Captions[0];
            if (CaptionSwap.Find(caption) is not { } site) continue;
            var picture = r.Test.Images[i].Load();
            var swaps = CaptionSwap.AllColours(caption);
            var painted = colorizer.Colorize(picture, [caption, .. swaps.Select(s => s.Caption)]);
            var (colour, gray) = colorizer.Prepare(picture);
            rows.Add(new ColorizationRow(
                caption, site, ToReport(colorizer.ToPicture(gray)), ToReport(colorizer.ToPicture(painted[0])),
                [.. swaps.Select((s, k) => new SwapPicture(s.Colour, ToReport(colorizer.ToPicture(painted[k + 1]))))],
                ToReport(colorizer.ToPicture(colour))));
        }
        return new ColorizationGrid(
            string.Create(CultureInfo.InvariantCulture, $"Every {stride}th picture of the test split whose first caption names a garment's colour."), rows, r.Fidelity);
    }

    private static MaskedPredictions? Masked(QuickstartResults r)
    {
        if (r.Attributes is not { } attributes) return null;
        var stride = Math.Max(1, r.Test.Images.Count / MaskedRows);
        var images = r.Test.Images.Where((_, i) => i % stride == 0).Take(MaskedRows).ToArray();
        return new MaskedPredictions(
            string.Create(CultureInfo.InvariantCulture, $"Every {stride}th picture of the test split with its first caption; each attribute phrase masked with probability 0.5, by a fixed seed."),
            new MaskedWords(r.Plip).Examples(images), attributes)
        {
            BaselineWord = r.Plip.Captions.Vocabulary[attributes.BaselineWord],
        };
    }

    private static NamedValue[] Settings(QuickstartResults r)
    {
        var c = r.Plip.Model.Config;
        return
        [
            new("configuration", c.Name),
            new("pictures", string.Create(CultureInfo.InvariantCulture, $"{c.Image.Height}×{c.Image.Width}")),
            new("tasks", string.Join(", ", r.Plip.Model.Tasks.Select(t => string.Create(CultureInfo.InvariantCulture, $"{t.Name} ×{t.Weight}")))),
            new("optimiser", string.Create(CultureInfo.InvariantCulture, $"{c.Training.Optimizer}, learning rate {c.Training.LearningRate}, weight decay {c.Training.WeightDecay}, {c.Training.Schedule} schedule")),
            new("batch", string.Create(CultureInfo.InvariantCulture, $"{c.Training.BatchSize} pairs")),
            new("seed", string.Create(CultureInfo.InvariantCulture, $"{c.Training.Seed}")),
            new("checkpoint", string.Create(CultureInfo.InvariantCulture, $"step {r.Plip.Step}, {r.Plip.Hash}")),
        ];
    }

    /// <summary>The folder's name; a split's own name repeats the split.</summary>
    private static string Name(PersonDataset data) => Path.GetFileName(data.Root);

    private static ReportPicture Load(PersonImage image) => ToReport(image.Load());

    private static ReportPicture ToReport(Picture p) => new(p.Width, p.Height, p.Rgb);

    private static string P(double share) => string.Create(CultureInfo.InvariantCulture, $"{100 * share:0.0}");
}
