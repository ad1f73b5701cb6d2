using Plip.Configs;
using Plip.Tests.Model;
using Plip.Training;
using Xunit;

namespace Plip.Tests.Training;

/// <summary>The whole of a training step on CUDA: the model, its three tasks, clipping, the optimiser, the average.</summary>
public sealed class CudaTrainingTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    private const int Steps = 4;

    /// <summary>
    /// The CPU's losses, step by step: dropout, masking and batches are the same numbers on both. In the first step both devices have the same
    /// weights and only round differently, 6e-8 a time through some 40 layers. Then Adan divides by the root of a gradient: where that is near
    /// zero a rounding decides on a step as long as the rate, and losses drift apart. The emulator was seen to differ by 1e-7 in F32 and 1e-3 in
    /// BF16 after four steps; a GPU's tensor cores and exponentials round at other places than it does, hence the room.
    /// </summary>
    [Theory]
    [InlineData(Precision.F32, 1e-5, 1e-3)]
    [InlineData(Precision.BF16, 2e-3, 1e-2)] // each rounding is 2⁻⁹, and the devices round at other places
    [InlineData(Precision.F16, 3e-4, 5e-3)] // 2⁻¹²
    public void Training_gives_the_CPUs_losses(Precision precision, double first, double later)
    {
        var (cpu, cuda) = (Run("cpu", precision), Run("cuda", precision));
        Assert.Equal(Steps, cpu.Count);
        Assert.Equal(cpu.Count, cuda.Count);
        for (var t = 0; t < Steps; t++)
        {
            var tolerance = t == 0 ? first : later;
            Assert.Equal(cpu[t].TaskLosses.Keys.Order(StringComparer.Ordinal), cuda[t].TaskLosses.Keys.Order(StringComparer.Ordinal));
            foreach (var (task, loss) in cpu[t].TaskLosses) Near(loss, cuda[t].TaskLosses[task], tolerance, $"{task} of step {t + 1}");
            Near(cpu[t].GradientNorm, cuda[t].GradientNorm, 10 * tolerance, $"the gradient's norm of step {t + 1}");
        }
        Assert.NotEqual(cpu[0].Loss, cpu[^1].Loss);
    }

    [Fact]
    public void The_same_run_gives_the_same_bits()
    {
        var (one, two) = (Run("cuda", Precision.F32), Run("cuda", Precision.F32));
        Assert.Equal(one.Select(p => (p.Loss, p.GradientNorm)), two.Select(p => (p.Loss, p.GradientNorm)));
    }

    /// <summary>The configuration decides on TF32, whatever the device was told before. Losses are F32's but for products of ten bits.</summary>
    [Fact]
    public void TF32_is_for_those_who_ask()
    {
        using var device = CudaTest.Open();
        double First(bool tf32)
        {
            var config = TinyPlip.Config();
            var seen = new List<double>();
            using var trainer = plip.Trainer(
                device, config with { Training = config.Training with { Steps = 1, Tf32 = tf32 } }, plip.NewFolder(), progress: p => seen.Add(p.Loss), validate: false);
            Assert.Equal(tf32, device.AllowTf32);
            trainer.Run();
            return seen.Single();
        }
        double plain = First(false), fast = First(true);
        Assert.Equal(plain, First(false));
        Assert.NotEqual(plain, fast);
        Near(plain, fast, 1e-2, "the loss in TF32");
    }

    private List<TrainingProgress> Run(string name, Precision precision)
    {
        using var device = Devices.Open(name);
        var config = TinyPlip.Config();
        config = config with { Training = config.Training with { Steps = Steps, ValidateEvery = Steps, Precision = precision, ClipNorm = 1 } };
        var seen = new List<TrainingProgress>();
        using var trainer = plip.Trainer(device, config, plip.NewFolder(), progress: seen.Add);
        trainer.Scaler?.Load(LossScaleTests.Scale(1024)); // the first guess is too large for this model, and a refused update compares nothing
        Assert.True(trainer.Run());
        Assert.Equal(0, trainer.Refused);
        return seen;
    }

    private static void Near(double expected, double actual, double tolerance, string what) =>
        Assert.True(Math.Abs(expected - actual) <= tolerance * Math.Max(1, Math.Abs(expected)), FormattableString.Invariant($"{what}: {actual:R} on CUDA, {expected:R} on the CPU"));
}
