using System.CommandLine;

namespace Plip.Tool;

/// <summary><c>plip quickstart</c>: world, training, evaluation and report in a few minutes, on any machine.</summary>
internal static class QuickstartCommand
{
    public static Command Create()
    {
        var output = new Option<string>("--out") { Description = "Folder for the world, the run and the report.", DefaultValueFactory = _ => Path.Combine("out", "quickstart") };
        var budget = new Option<int>("--budget")
        {
            Description = "Seconds to plan for on two cores; people and steps follow from it, not from a clock.",
            DefaultValueFactory = _ => QuickstartPlan.DefaultBudget,
        };
        var config = new Option<string>("--config") { Description = "Configuration, by name or file.", DefaultValueFactory = _ => "plip-tiny" };
        var seed = new Option<ulong>("--seed") { Description = "Seed of the world and the run.", DefaultValueFactory = _ => 1 };
        var photographs = new Option<string?>("--photographs") { Description = "A data set of real photographs with a test split: the model is evaluated on it as it is (zero-shot) and the report states the figures. Nothing is trained on it or chosen by it." };
        var (device, threads) = (Options.Device(), Options.Threads());
        var command = new Command("quickstart", "Make a small world of people, pre-train a small PLIP on it, find people by text, and write a report.") { output, budget, config, seed, photographs, device, threads };
        command.SetAction(p =>
        {
            Options.Range(p.GetValue(budget), 20, 24 * 3600, "--budget");
            using var stop = new StopSignal();
            return new QuickstartRun(p.GetValue(output)!, p.GetValue(config)!, p.GetValue(budget), p.GetValue(seed), p.GetValue(photographs), p.GetValue(device)!, p.GetValue(threads)).Run(stop.Token);
        });
        return command;
    }
}
