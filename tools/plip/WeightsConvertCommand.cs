using System.CommandLine;
using System.Globalization;
using Plip.Engine;
using Plip.Weights;

namespace Plip.Tool;

/// <summary><c>plip weights convert</c>: any file of weights to one safetensors file.</summary>
internal static class WeightsConvertCommand
{
    public static Command Create()
    {
        var input = new Argument<string>("in") { Description = "A file of weights, or a folder with one." };
        var output = new Argument<string>("out") { Description = "The .safetensors file to write." };
        var to = new Option<WeightsLayout?>("--to")
        {
            Description = "Names: Same as in the file; Plip (visual.*, textual.*: CLIP's and Hugging Face's names); Released (the authors' ImgEncoder_state_dict.*, TxtEncoder_state_dict.encoder.*); "
                + "Visual or HuggingFace (one encoder alone, for load_state_dict). Plip for a checkpoint of this program, Same for others.",
        };
        var under = new Option<string?>("--under") { Description = "With Same: only the tensors below this prefix, such as state_dict., which is removed." };
        var force = new Option<bool>("--force") { Description = "Overwrite the file if it is there." };
        var command = new Command("convert", "Write weights as safetensors, by the names PyTorch users need.") { input, output, to, under, force };
        command.SetAction(p =>
        {
            var (from, path) = (p.GetValue(input)!, p.GetValue(output)!);
            if (!path.EndsWith(".safetensors", StringComparison.Ordinal)) throw new UsageException($"{path}: what is written is safetensors; let the name end in .safetensors");
            if (File.Exists(path) && Path.GetFullPath(path) == Path.GetFullPath(from)) throw new UsageException($"{path} is the file to be read; name another");
            if (File.Exists(path) && !p.GetValue(force)) throw new UsageException($"{path} is there already; add --force to overwrite it");
            using var file = WeightsFile.Open(from);
            var layout = p.GetValue(to) ?? (file.Format == WeightsFormat.Checkpoint && p.GetValue(under) == null ? WeightsLayout.Plip : WeightsLayout.Same);
            if (p.GetValue(under) != null && layout != WeightsLayout.Same) throw new UsageException($"--under goes with --to Same, not with {layout}");
            var tensors = WeightsConversion.Tensors(file, layout, p.GetValue(under) ?? "");
            SafeTensorsWriter.Replace(path, tensors, WeightsConversion.Metadata(file, layout));
            Console.Out.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{path}: {tensors.Count} of {file.Tensors.Count} tensors, {new FileInfo(path).Length / 1e6:#,0.0} MB, names: {layout}"));
            return 0;
        });
        return command;
    }
}
