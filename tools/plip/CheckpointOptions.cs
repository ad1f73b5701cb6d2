using System.CommandLine;
using System.CommandLine.Parsing;
using Plip.Configs;
using Plip.Engine;
using Plip.Model;
using Plip.Text;

namespace Plip.Tool;

/// <summary>
/// The options by which a command opens a model, this program's or the authors': <c>var model = new CheckpointOptions(); model.AddTo(command);</c>
/// and in the action <c>using var plip = model.Open(parse, device);</c>.
/// </summary>
internal sealed class CheckpointOptions
{
    private readonly Option<string> _checkpoint = Options.Checkpoint();

    private readonly Option<string?> _vocabulary = new("--vocabulary") { Description = "BERT's vocab.txt, for a checkpoint that carries no words, such as the released PLIP_MRN50.pth.tar." };

    private readonly Option<string?> _config = new("--config")
    {
        Description = "A configuration by name or file: says of a checkpoint that carries none what shapes cannot (numbers of heads, the picture's sides); one of this program must be of it.",
    };

    public void AddTo(Command command)
    {
        command.Add(_checkpoint);
        command.Add(_vocabulary);
        command.Add(_config);
    }

    /// <summary>Opens the checkpoint on a device.</summary>
    public PlipCheckpoint Open(ParseResult parse, Device device, Precision precision = Precision.F32) => PlipCheckpoint.Load(
        device,
        parse.GetValue(_checkpoint)!,
        parse.GetValue(_config) is { } config ? ConfigFile.Load(config) : null,
        Console.Error.WriteLine,
        precision,
        parse.GetValue(_vocabulary) is { } words ? Vocabulary.Load(words) : null);
}
