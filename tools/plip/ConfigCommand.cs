using System.CommandLine;
using Plip.Configs;

namespace Plip.Tool;

/// <summary><c>plip config</c>: the configurations that come with the program, to look at or to start one's own from.</summary>
internal static class ConfigCommand
{
    public static Command Create()
    {
        var name = new Argument<string>("name") { Description = $"One of {string.Join(", ", ConfigFile.BuiltIn)}, or a JSON file to see with its defaults filled in." };
        var show = new Command("show", "Print a configuration as JSON, every key with its value: plip config show plip-rn50 > mine.json") { name };
        show.SetAction(p =>
        {
            Console.Out.WriteLine(ConfigFile.ToJson(ConfigFile.Load(p.GetValue(name)!)));
            return 0;
        });
        var list = new Command("list", "Print the names of the configurations that come with the program.");
        list.SetAction(_ =>
        {
            foreach (var known in ConfigFile.BuiltIn) Console.Out.WriteLine(known);
            return 0;
        });
        return new Command("config", "Show the configurations that come with the program.") { list, show };
    }
}
