using Plip.Configs;
using Plip.Data;
using Plip.Encoders;
using Plip.Engine;
using Plip.Model;
using Plip.Tasks;
using Plip.Tests.Model;
using Plip.Text;

namespace Plip.Tests.Tasks;

/// <summary>A tiny model on a device with one real batch of a rendered world.</summary>
internal sealed class TaskRig : IDisposable
{
    private readonly BatchLoader _loader;

    public TaskRig(TinyPlip plip, PlipConfig config, int threads = 1)
    {
        config = config with { Text = config.Text with { VocabularySize = plip.Words.Size } };
        config.Validate();
        Device = new CpuDevice(threads);
        Model = new PlipModel(config);
        Store = Model.Materialize(Device);
        var settings = new BatchSettings { BatchSize = config.Training.BatchSize, MaxTokens = config.Text.MaxTokens, Image = config.Image.ToSettings(), Seed = 3 };
        _loader = new BatchLoader(plip.Train, new CaptionEncoder(new CaptionTokenizer(plip.Words)), settings, _ => 0.5f);
        Batch = _loader.Next();
    }

    public CpuDevice Device { get; }

    public PlipModel Model { get; }

    public ParameterStore Store { get; }

    public Batch Batch { get; }

    /// <summary>The batch on the device; call within a step.</summary>
    public TaskBatch OnDevice(int[]? maskedLabels = null)
    {
        var (b, image) = (Batch, Model.Config.Image);
        return new TaskBatch(
            Model,
            Tensor.From(Device, b.Images, new Shape(b.Size, image.Height, image.Width, 3)),
            Tensor.From(Device, b.Identities, new Shape(b.Size)),
            PackedText.From(Device, b.TokenIds.AsSpan(0, b.TokenCount), b.CuSeqlens),
            MaskedCaptions.From(Device, b.MaskedTokenIds.AsSpan(0, b.MaskedTokenCount), b.MaskedCuSeqlens, maskedLabels ?? b.MaskedLabels.AsSpan(0, b.MaskedTokenCount)),
            new DropoutStream(1, 0));
    }

    /// <summary>Names of parameters whose gradient is not zero everywhere.</summary>
    public HashSet<string> Touched() =>
        [.. Store.Parameters.Where(p => !p.Parameter.Frozen && p.Parameter.Grad.ToArray().Any(g => g != 0)).Select(p => p.Name)];

    public void Dispose()
    {
        Batch.Dispose();
        _loader.Dispose();
        Store.Dispose();
        Device.Dispose();
    }
}
