using Plip.Configs;
using Plip.Data;
using Plip.Data.World;
using Plip.Engine;
using Plip.Text;
using Plip.Training;
using Xunit;

namespace Plip.Tests.Training;

/// <summary>What matters of a precision: that a run with it learns what the one in F32 learns.</summary>
public sealed class PrecisionTests : IDisposable
{
    private const int Steps = 80, Window = 10;

    private readonly string _root = Path.Combine(Path.GetTempPath(), "plip-precision-" + Guid.NewGuid().ToString("N"));

    /// <summary>
    /// plip-tiny learns a world of sixty people for 80 steps, all three tasks. Means over ten steps, of each task's loss, stay within a share of
    /// F32's. Step by step they would not: after some updates each run has weights of its own, as another order of sums would give.
    /// What was seen when this was written: SEEN.
    /// </summary>
    [Fact]
    public void Runs_in_BF16_and_F16_follow_F32s_curve_on_the_world()
    {
        WorldWriter.Make(new WorldOptions { Identities = 60, TestIdentities = 4, ValIdentities = 4, ImagesPerIdentity = 3, Height = 96, Masks = MaskScope.None }, _root);
        var train = PersonDataset.Load(_root, DatasetLayout.CuhkPedes).Split("train");
        var words = Vocabulary.Learn(train.Images.SelectMany(i => i.Captions), 600);
        var f32 = Curves(train, words, Precision.F32);
        Assert.Equal(["ivlc", "tic", "iap"], f32.Keys);
        foreach (var (task, curve) in f32) Assert.True(curve[^1] < 0.95 * curve[0], FormattableString.Invariant($"{task} {curve[0]:0.000} -> {curve[^1]:0.000}"));
        foreach (var (precision, tolerance) in new[] { (Precision.BF16, 0.05), (Precision.F16, 0.02) })
            foreach (var (task, curve) in Curves(train, words, precision))
            {
                Assert.NotEqual(f32[task], curve);
                for (var i = 0; i < curve.Length; i++)
                {
                    var off = Math.Abs(curve[i] / f32[task][i] - 1);
                    Console.Error.WriteLine($"{precision} {task} {i} {f32[task][i]:0.0000} {curve[i]:0.0000} {off:0.0000}");
                    Assert.True(off <= tolerance, FormattableString.Invariant($"{task} in {precision}, steps {i * Window + 1} to {(i + 1) * Window}: {curve[i]:R}, in F32 {f32[task][i]:R}"));
                }
            }
    }

    /// <summary>Each task's loss, in means over ten steps.</summary>
    private Dictionary<string, double[]> Curves(PersonDataset train, Vocabulary words, Precision precision)
    {
        var config = ConfigFile.Load("plip-tiny");
        config = config with { Training = config.Training with { Steps = Steps, BatchSize = 16, Precision = precision, ValidateEvery = Steps } };
        var seen = new List<IReadOnlyDictionary<string, double>>();
        using var device = new CpuDevice();
        using var trainer = new Trainer(device, config, words, new TrainerOptions
        {
            Train = train,
            Folder = Path.Combine(_root, "run-" + precision),
            Progress = p => seen.Add(p.TaskLosses),
        });
        Assert.True(trainer.Run());
        Assert.Equal(0, trainer.Refused);
        return seen[0].Keys.ToDictionary(t => t, t => seen.Chunk(Window).Select(w => w.Average(s => s[t])).ToArray(), StringComparer.Ordinal);
    }

    public void Dispose()
    {
        if (Directory.Exists(_root)) Directory.Delete(_root, recursive: true);
    }
}
