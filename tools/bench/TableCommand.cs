using System.CommandLine;

namespace Plip.Bench;

/// <summary><c>bench table</c>: the Markdown table of a results file, printed or written between a README's markers.</summary>
internal static class TableCommand
{
    public static Command Create()
    {
        var file = new Argument<string>("result") { Description = "A results file of bench cpu." };
        var write = new Option<string?>("--write") { Description = "A Markdown file whose block between the two markers is replaced by the table." };
        var command = new Command("table", "Print the Markdown table of a results file.") { file, write };
        command.SetAction(p =>
        {
            var table = MarkdownTable.Of(BenchResult.Load(p.GetValue(file)!));
            if (p.GetValue(write) is not { } readme)
            {
                Console.Out.Write(table);
                return 0;
            }
            if (!File.Exists(readme)) throw new BenchException($"{readme}: there is no such file");
            File.WriteAllText(readme, MarkdownTable.Replace(File.ReadAllText(readme), table, readme));
            return 0;
        });
        return command;
    }
}
