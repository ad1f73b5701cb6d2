using System.Globalization;
using System.Text.Json;
using Plip.Data;
using Plip.Data.World;
using Plip.Evaluation;
using Plip.Model;

namespace Plip.Tool;

/// <summary>All figures of a quickstart; the report and result.json show the same.</summary>
internal sealed record QuickstartResults(
    PlipCheckpoint Plip, WorldOptions World, PersonDataset Train, PersonDataset Test,
    RetrievalEvaluation Retrieval, AttributeResult? Attributes, FidelityResult? Fidelity,
    PersonDataset? Photographs, RetrievalEvaluation? ZeroShot)
{
    public void WriteJson(string path, double seconds)
    {
        using var stream = File.Create(path);
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        ResultJson.Write(json, "retrieval", Retrieval.TextToImage.Outcome.Figures);
        ResultJson.Write(json, "image_to_text", Retrieval.ImageToText);
        ResultJson.Write(json, "baseline", Retrieval.Baseline);
        ResultJson.Write(json, "chance", Retrieval.TextToImage.Outcome.Chance);
        if (Attributes != null)
        {
            json.WriteStartObject("iap");
            json.WriteNumber("top1", Attributes.Accuracy);
            json.WriteNumber("unigram", Attributes.Baseline);
            json.WriteNumber("words", Attributes.Words);
            json.WriteEndObject();
        }
        if (Fidelity != null)
        {
            json.WriteNumber("colour_fidelity", Fidelity.Share);
            json.WriteNumber("colour_swaps", Fidelity.Swaps);
        }
        if (ZeroShot != null)
        {
            json.WriteStartObject("photographs");
            json.WriteString("data", Photographs!.Name);
            ResultJson.Write(json, "retrieval", ZeroShot.TextToImage.Outcome.Figures);
            ResultJson.Write(json, "baseline", ZeroShot.Baseline);
            ResultJson.Write(json, "chance", ZeroShot.TextToImage.Outcome.Chance);
            json.WriteEndObject();
        }
        json.WriteNumber("seconds", seconds);
        json.WriteNumber("identities", World.Identities);
        json.WriteNumber("images", World.Identities * World.ImagesPerIdentity);
        json.WriteNumber("train_identities", Train.Identities.Length);
        json.WriteNumber("test_identities", Test.Identities.Length);
        json.WriteString("checkpoint", Plip.Hash);
        json.WriteEndObject();
    }

    public void Print()
    {
        var (r, c, b) = (Retrieval.TextToImage.Outcome.Figures, Retrieval.TextToImage.Outcome.Chance, Retrieval.Baseline);
        Line($"text→image over {Test.Identities.Length} unseen people: R@1 {P(r.R1)}, R@5 {P(r.R5)}, R@10 {P(r.R10)}, mAP {P(r.Map)}");
        Line($"  colour words alone: R@1 {P(b.R1)}, mAP {P(b.Map)};  chance: R@1 {P(c.R1)}, mAP {P(c.Map)}");
        if (Attributes != null) Line($"masked attribute words: {P(Attributes.Accuracy)} right at the first guess (always \"{Plip.Captions.Vocabulary[Attributes.BaselineWord]}\": {P(Attributes.Baseline)})");
        if (Fidelity != null) Line($"colour words obeyed: {P(Fidelity.Share)} of {Fidelity.Swaps} swaps");

        if (ZeroShot is { } z) Line($"photographs ({Photographs!.Name}), zero-shot: R@1 {P(z.TextToImage.Outcome.Figures.R1)}, mAP {P(z.TextToImage.Outcome.Figures.Map)} (colour words: mAP {P(z.Baseline.Map)}; chance: R@1 {P(z.TextToImage.Outcome.Chance.R1)}, mAP {P(z.TextToImage.Outcome.Chance.Map)})");

        static void Line(FormattableString text) => Console.Out.WriteLine(text.ToString(CultureInfo.InvariantCulture));
        static string P(double share) => string.Create(CultureInfo.InvariantCulture, $"{100 * share:0.0} %");
    }
}
