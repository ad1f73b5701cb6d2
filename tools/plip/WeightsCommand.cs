using System.CommandLine;

namespace Plip.Tool;

/// <summary><c>plip weights</c>: files of weights of any origin.</summary>
internal static class WeightsCommand
{
    public static Command Create() => new("weights", "Look into files of weights (PyTorch, safetensors, checkpoints) and write them for other programs.")
    {
        WeightsInspectCommand.Create(),
        WeightsConvertCommand.Create(),
    };
}
