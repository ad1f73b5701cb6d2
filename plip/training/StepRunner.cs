using Plip.Data;
using Plip.Encoders;
using Plip.Engine;
using Plip.Model;
using Plip.Tasks;

namespace Plip.Training;

/// <summary>One batch through all tasks: losses out, gradients added to the store's.</summary>
internal sealed class StepRunner(PlipModel model, Device device)
{
    private readonly ulong _seed = model.Config.Training.Seed;

    /// <summary>The sum of the weighted losses, and each task's own.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="scale">Factor on the gradients: one over the accumulated batches.</param>
    public StepLosses Run(Batch batch, float scale)
    {
        using var step = device.BeginStep();
        var (total, losses) = Forward(batch);
        if (total == null) return new StepLosses(0, new Dictionary<string, double>());
        total.Backward(scale);
        return new StepLosses(total.Item(), losses.ToDictionary(l => l.Name, l => (double)l.Loss.Item(), StringComparer.Ordinal));
    }

    /// <summary>The weighted sum, null when no task had anything to learn from, and each task's own loss.</summary>
    private (Tensor? Total, List<(string Name, Tensor Loss)> Tasks) Forward(Batch batch)
    {
        using var phase = Profiler.Phase(device, "forward");
        var (h, w) = (model.Config.Image.Height, model.Config.Image.Width);
        var images = Tensor.From(device, batch.Images, new Shape(batch.Size, h, w, 3));
        var identities = Tensor.From(device, batch.Identities, new Shape(batch.Size));
        var captions = PackedText.From(device, batch.TokenIds.AsSpan(0, batch.TokenCount), batch.CuSeqlens);
        var masked = model.Task<IapTask>() == null ? null : MaskedCaptions.From(
            device, batch.MaskedTokenIds.AsSpan(0, batch.MaskedTokenCount), batch.MaskedCuSeqlens, batch.MaskedLabels.AsSpan(0, batch.MaskedTokenCount));
        var tasks = new TaskBatch(model, images, identities, captions, masked, new DropoutStream(_seed, (uint)batch.Step));

        var terms = new List<(Tensor Loss, float Weight)>();
        var losses = new List<(string Name, Tensor Loss)>();
        foreach (var task in model.Tasks)
        {
            if (task.Loss(tasks) is not { } loss) continue;
            terms.Add((loss, task.Weight));
            losses.Add((task.Name, loss.Keep()));
        }
        return (terms.Count == 0 ? null : Ops.WeightedSum(terms), losses);
    }
}

/// <summary>Losses of a batch.</summary>
/// <param name="Total">L_ivlc + λ1·L_tic + λ2·L_iap.</param>
/// <param name="Tasks">Each task's loss, not weighted; a task that had nothing to learn from is missing.</param>
internal sealed record StepLosses(double Total, Dictionary<string, double> Tasks)
{
    /// <summary>The mean over accumulated batches.</summary>
    public static StepLosses Mean(IReadOnlyList<StepLosses> parts)
    {
        if (parts.Count == 1) return parts[0];
        var tasks = parts.SelectMany(p => p.Tasks).GroupBy(t => t.Key, StringComparer.Ordinal).ToDictionary(g => g.Key, g => g.Average(t => t.Value), StringComparer.Ordinal);
        return new StepLosses(parts.Average(p => p.Total), tasks);
    }
}
