using System.CommandLine;

namespace Plip.Bench;

/// <summary><c>bench table</c>: the Markdown table of a results file, printed or written between a README's markers.</summary>
internal static class TableCommand
{
    public static Command Create()
    {
        var file = new Argument<string>("result") { Description = "A results file of bench cpu." };
        var write = new Option<string?>("--write") { Description = "A Markdown file whose block between the two markers (bench:begin, bench:end, or of a GPU cuda:begin, cuda:end) is replaced by the table." };
        var command = new Command("table", "Print the Markdown table of a results file.") { file, write };
        command.SetAction(p =>
        {
            var result = BenchResult.Load(p.GetValue(file)!);
            var table = MarkdownTable.Of(result);
            if (p.GetValue(write) is not { } readme)
            {
                Console.Out.Write(table);
                return 0;
            }
            if (!File.Exists(readme)) throw new BenchException($"{readme}: there is no such file");
            if (result.Machine.Gpu is { Emulated: true }) throw new BenchException($"{p.GetValue(file)}: it was measured on the emulator; such figures belong into no README");
            File.WriteAllText(readme, MarkdownTable.Replace(File.ReadAllText(readme), table, readme, cuda: result.Machine.Gpu != null));
            return 0;
        });
        return command;
    }
}
