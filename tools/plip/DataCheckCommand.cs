using System.CommandLine;
using Plip.Data;

namespace Plip.Tool;

/// <summary><c>plip data check</c>: what a data set holds and what is wrong with it.</summary>
internal static class DataCheckCommand
{
    public static Command Create()
    {
        var directory = new Argument<string>("directory") { Description = "The data set's folder, a folder of shards, or one .tar." };
        var json = new Option<string?>("--json") { Description = "Write the findings to this file as well." };
        var splitFile = Options.SplitFile();
        var command = new Command("check", "Count pictures, identities and captions; find missing and broken files. Exits 1 if there are errors.") { directory, json, splitFile };
        command.SetAction(p =>
        {
            var set = PersonDataset.Load(p.GetValue(directory)!, splitFile: p.GetValue(splitFile));
            var report = DataCheck.Run(set, new DataCheckSettings());
            Console.Out.Write(report.ToText());
            if (p.GetValue(json) is { } path) File.WriteAllText(path, report.ToJson());
            return report.HasErrors ? CommandLine.Failed : 0;
        });
        return command;
    }
}
