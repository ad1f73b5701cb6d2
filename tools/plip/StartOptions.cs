using System.CommandLine;
using System.CommandLine.Parsing;
using Plip.Engine;
using Plip.Model;
using Plip.Weights;

namespace Plip.Tool;

/// <summary>The options by which a new run starts from weights that others trained.</summary>
internal sealed class StartOptions
{
    private readonly Option<string?> _visual = new("--initial-visual")
    {
        Description = "Start the picture encoder from this file: OpenAI's or open_clip's RN50, torchvision's ResNet or Swin, Microsoft's Swin, a PLIP. What fits is taken; the report is printed and goes to initial.txt. A resumed run does not read it again.",
    };

    private readonly Option<string?> _text = new("--initial-text") { Description = "Start the text encoder from this file or folder: Hugging Face's BERT (with its vocab.txt as --vocabulary), or a PLIP." };

    public void AddTo(Command command)
    {
        command.Add(_visual);
        command.Add(_text);
    }

    /// <summary>What a trainer is to do with its new model; null where nothing was asked for.</summary>
    public Action<PlipModel, ParameterStore>? Action(ParseResult parse, string folder)
    {
        var (visual, text) = (parse.GetValue(_visual), parse.GetValue(_text));
        if (visual == null && text == null) return null;
        return (model, store) =>
        {
            var reports = new List<StartReport>();
            if (visual != null) reports.Add(StartingWeights.Visual(model, store, visual));
            if (text != null) reports.Add(StartingWeights.Text(model, store, text));
            Directory.CreateDirectory(folder);
            File.WriteAllText(Path.Combine(folder, "initial.txt"), string.Join("\n\n", reports) + "\n");
            foreach (var report in reports) Console.Out.WriteLine(report.Brief());
        };
    }
}
