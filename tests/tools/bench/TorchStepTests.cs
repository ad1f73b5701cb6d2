using System.Globalization;
using System.Text.RegularExpressions;
using Plip.Bench;
using Plip.Model;
using Plip.Tests.Engine;
using Xunit;

namespace Plip.Tests.Tools.Bench;

/// <summary>tools/bench/peers/torch_step.py refuses to run unless its model and batch have the numbers it expects; here those are held against ours.</summary>
public partial class TorchStepTests
{
    [Fact]
    public void It_expects_our_parameters_and_our_batch()
    {
        var text = File.ReadAllText(FaultyDriver.InRepository("tools/bench/peers/torch_step.py"));
        foreach (var spec in ModelSpec.GpuSteps)
        {
            var entry = text[text.IndexOf($"\"{spec.Config}\": dict(", StringComparison.Ordinal)..];
            var expected = Expect().Match(entry).Groups.Values.Skip(1).Select(g => long.Parse(g.Value, CultureInfo.InvariantCulture));
            var config = spec.Load();
            var model = new PlipModel(config);
            var parameters = model.NamedParameters().Select(p => (
                p.Parameter.Shape.Count, Frozen: p.Name.StartsWith("textual.", StringComparison.Ordinal) && model.Textual.IsFrozen(p.Name["textual.".Length..]))).ToList();
            var batch = SyntheticBatch.For(config, spec.Batch);
            Assert.Equal(expected, [parameters.Sum(p => p.Count), parameters.Where(p => !p.Frozen).Sum(p => p.Count), batch.Offsets[^1], batch.Places.Length]);
        }
    }

    [GeneratedRegex(@"expect=\((\d+), (\d+), (\d+), (\d+)\)")]
    private static partial Regex Expect();
}
