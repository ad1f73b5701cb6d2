using Plip.Configs;
using Plip.Data;
using Plip.Engine;
using Plip.Model;
using Plip.Tasks;
using Plip.Tests.Model;
using Plip.Training;
using Xunit;

namespace Plip.Tests.Training;

/// <summary>Steps on a GPU: batches filled up to few shapes, which come again and are replayed.</summary>
public sealed class StepRunnerTests
{
    private const int Words = 300;

    private static PlipConfig Config()
    {
        var config = TinyPlip.Config();
        return config with { Text = config.Text with { VocabularySize = Words } };
    }

    private static ParameterStore InTraining(Device device, PlipConfig config, out PlipModel model)
    {
        model = new PlipModel(config);
        var store = model.Materialize(device);
        model.Train();
        return store;
    }

    private static Batch Batch(PlipConfig config, ulong seed, long step = 1)
    {
        var batch = SyntheticBatch.Make(config.Training.BatchSize, 3 * config.Image.Height * config.Image.Width, config.Text.MaxTokens, Words, seed);
        batch.Step = step;
        return batch;
    }

    /// <summary>
    /// Everything that is random is drawn again alike, and running statistics are updated once. Of a stage's map that two readers have, the
    /// gradients are added in another order: a rounding or two of 6e-8 further down.
    /// </summary>
    [Theory]
    [InlineData("cpu", Recomputation.Visual)]
    [InlineData("cpu", Recomputation.All)]
    [InlineData("cuda", Recomputation.All)]
    public void Recomputation_changes_no_loss_and_no_gradient(string name, Recomputation recompute)
    {
        using var device = Devices.Open(name);
        var config = Config();
        var batch = Batch(config, 5);
        (StepLosses, string, float[]) Trained(Recomputation which)
        {
            using var store = InTraining(device, config with { Training = config.Training with { Recompute = which } }, out var model);
            using var runner = new StepRunner(model, device);
            StepLosses? losses = null;
            for (var i = 0; i < 2; i++) losses = runner.Run(batch, 1); // the second sees what the first left in the running statistics
            return (losses!, TinyPlip.Bits(store.StateDict()), store.Grads.ToArray());
        }
        var (kept, keptState, keptGradients) = Trained(Recomputation.None);
        var (again, againState, againGradients) = Trained(recompute);
        Assert.Equal(kept.Total, again.Total);
        Assert.Equal(keptState, againState);
        Check.Close(Array.ConvertAll(keptGradients, g => (double)g), againGradients, 2e-6, "gradients");
    }

    /// <summary>
    /// The losses and gradients of a batch that was filled up against those of the batch as it is, on the same device: what fills up has gradients of
    /// zero, so only the order of sums over tokens moves, by some roundings of 6e-8 relative to the largest gradient of a parameter.
    /// </summary>
    [Theory]
    [InlineData("cpu")]
    [InlineData("cuda")]
    public void Filling_up_changes_no_loss_and_no_gradient(string name)
    {
        using var device = Devices.Open(name);
        var config = Config();
        using var store = InTraining(device, config, out var model);
        var batch = Batch(config, 5);
        var shape = BatchShape.Of(batch);
        Assert.True(shape.Tokens > batch.TokenCount && shape.MaskedTokens > batch.MaskedTokenCount && shape.Places > batch.LabelCount);
        using var shared = new SharedInputs(device, batch.Size, config.Image.Height, config.Image.Width);
        using var tensors = new BatchTensors(shared, shape, masked: true);
        tensors.Upload(batch);
        var (plain, plainGradients) = Pass(() => Plain(model, device, batch));
        var (filled, filledGradients) = Pass(() => tensors.For(model, config.Training.Seed));
        Assert.Equal(3, plain.Length);
        for (var i = 0; i < plain.Length; i++) Assert.Equal(plain[i], filled[i], 1e-5f * Math.Max(1, plain[i]));
        Check.Close(Array.ConvertAll(plainGradients, g => (double)g), filledGradients, 1e-5, "gradients");

        (float[], float[]) Pass(Func<TaskBatch> of)
        {
            store.ZeroGrad();
            using var step = device.BeginStep();
            var tasks = of();
            var losses = model.Tasks.Select(t => t.Loss(tasks)!.Keep()).ToArray();
            Ops.WeightedSum([.. losses.Select(l => (l, 1f))]).Backward();
            return (Array.ConvertAll(losses, l => l.Item()), store.Grads.ToArray());
        }
    }

    private static TaskBatch Plain(PlipModel model, Device device, Batch b) => new(
        model,
        Tensor.From(device, b.Images, new Shape(b.Size, model.Config.Image.Height, model.Config.Image.Width, 3)),
        Tensor.From(device, b.Identities, new Shape(b.Size)),
        Plip.Encoders.PackedText.From(device, b.TokenIds.AsSpan(0, b.TokenCount), b.CuSeqlens),
        MaskedCaptions.From(device, b.MaskedTokenIds.AsSpan(0, b.MaskedTokenCount), b.MaskedCuSeqlens, b.MaskedLabels.AsSpan(0, b.MaskedTokenCount)),
        new Plip.Encoders.DropoutStream(model.Config.Training.Seed, (uint)b.Step));

    [Fact]
    public void Replays_allocate_nothing_and_give_the_bits_of_the_step()
    {
        using var device = CudaTest.Open();
        var config = Config();
        using var store = InTraining(device, config, out var model);
        var batch = Batch(config, 5);
        using (var runner = new StepRunner(model, device, graphs: true))
        {
            runner.Run(batch, 1f);
            var driver = device.Pool.DriverCalls; // the capture finds what the step before it left
            runner.Run(batch, 1f);
            Assert.Equal(driver, device.Pool.DriverCalls);
            var (blocks, bytes, _) = device.MemoryInUse;
            var reserved = device.Pool.Reserved;
            device.ResetPeak();
            var seen = new List<(double Loss, float[] Gradients)>();
            for (var i = 0; i < 4; i++)
            {
                store.ZeroGrad();
                batch.Step = i % 2;
                seen.Add((runner.Run(batch, 1f).Total, store.Grads.ToArray()));
            }
            Assert.Equal(5, runner.Replays);
            Assert.Equal((blocks, bytes, bytes), device.MemoryInUse);
            Assert.Equal((reserved, driver), (device.Pool.Reserved, device.Pool.DriverCalls));
            // Dropout goes by the batch's number, which is not the graph's.
            Assert.NotEqual(seen[0].Loss, seen[1].Loss);
            Assert.Equal(seen[0].Loss, seen[2].Loss);
            Assert.Equal(seen[1].Gradients, seen[3].Gradients);
            using var plain = new StepRunner(model, device);
            store.ZeroGrad();
            Assert.Equal(seen[3].Loss, plain.Run(batch, 1f).Total);
            Assert.Equal(seen[3].Gradients, store.Grads.ToArray());
            Assert.Equal(0, plain.Replays);
        }
        store.Dispose();
        Assert.Equal(0, device.MemoryInUse.Blocks);
    }

    [Fact]
    public void A_bad_index_in_a_replay_is_named_and_the_next_batch_goes_on()
    {
        using var device = CudaTest.Open();
        var config = Config();
        using var store = InTraining(device, config, out var model);
        var batch = Batch(config, 5);
        using var runner = new StepRunner(model, device, graphs: true);
        for (var i = 0; i < 2; i++) runner.Run(batch, 1f);
        var sound = runner.Run(batch, 1f).Total;
        var id = batch.TokenIds[7];
        batch.TokenIds[7] = Words;
        Assert.Equal($"Embedding: id {Words} at position 7 is outside 0..{Words - 1}", Assert.Throws<ArgumentException>(() => runner.Run(batch, 1f)).Message);
        batch.TokenIds[7] = id;
        var label = Array.FindIndex(batch.MaskedLabels, l => l >= 0);
        var word = batch.MaskedLabels[label];
        batch.MaskedLabels[label] = Words + 1;
        Assert.Equal($"LinearCrossEntropy: row 0 has label {Words + 1}, outside 0..{Words - 1}; rows to leave out carry -100", Assert.Throws<ArgumentException>(() => runner.Run(batch, 1f)).Message);
        batch.MaskedLabels[label] = word;
        Assert.Equal(sound, runner.Run(batch, 1f).Total, 1e-4);
        Assert.Equal(5, runner.Replays);
    }

    [Fact]
    public void The_shape_that_was_not_used_for_longest_goes()
    {
        using var device = CudaTest.Open();
        var config = Config();
        config = config with { Tasks = config.Tasks with { Tic = config.Tasks.Tic with { Enabled = false } } };
        using var store = InTraining(device, config, out var model);
        var batches = Enumerable.Range(0, 40).Select(i => Batch(config, (ulong)i)).DistinctBy(BatchShape.Of).Take(3).ToArray();
        Assert.Equal(3, batches.Length);
        using var runner = new StepRunner(model, device, graphs: true, kept: 2);
        void Run(int i) => runner.Run(batches[i], 1f);
        foreach (var i in new[] { 0, 0, 0, 1, 1, 0 }) Run(i);
        Assert.Equal((2, 4), (runner.Shapes, runner.Replays));
        Run(2); // 1 goes
        Run(0);
        Assert.Equal((2, 5), (runner.Shapes, runner.Replays));
        Run(1); // anew
        Assert.Equal((2, 5), (runner.Shapes, runner.Replays));
    }
}
