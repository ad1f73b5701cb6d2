using System.CommandLine;
using System.CommandLine.Parsing;
using Plip.Configs;
using Plip.Engine;
using Plip.Model;
using Plip.Text;

namespace Plip.Tool;

/// <summary>
/// --checkpoint, and the two options that a model of other programs needs beside it: <c>var checkpoint = new CheckpointOption();</c> goes into the
/// command as any option, <c>checkpoint.AddCompanions(command);</c> adds the other two, and the action says
/// <c>using var plip = checkpoint.Open(parse, device, precision);</c>.
/// </summary>
internal sealed class CheckpointOption : Option<string>
{
    private readonly Option<string?> _vocabulary = new("--vocabulary") { Description = "BERT's vocab.txt, for a checkpoint that carries no words, such as the released PLIP_MRN50.pth.tar." };

    private readonly Option<string?> _config = new("--config")
    {
        Description = "A configuration by name or file: says of a checkpoint that carries none what shapes cannot (numbers of heads, the picture's sides); one of this program must be of it.",
    };

    public CheckpointOption() : base("--checkpoint")
    {
        Description = "A checkpoint file, a folder of which the newest valid one is taken, or the released PLIP_MRN50.pth.tar with --vocabulary.";
        Required = true;
    }

    public void AddCompanions(Command command)
    {
        command.Add(_vocabulary);
        command.Add(_config);
    }

    /// <summary>Opens the checkpoint on a device.</summary>
    public PlipCheckpoint Open(ParseResult parse, Device device, Precision precision = Precision.F32) => PlipCheckpoint.Load(
        device,
        parse.GetValue(this)!,
        parse.GetValue(_config) is { } config ? ConfigFile.Load(config) : null,
        Console.Error.WriteLine,
        precision,
        parse.GetValue(_vocabulary) is { } words ? Vocabulary.Load(words) : null);
}
