using Plip.Data;
using Plip.Encoders;
using Plip.Engine;
using Plip.Model;
using Plip.Tasks;

namespace Plip.Training;

/// <summary>
/// One batch through all tasks: losses out, gradients added to the store's. On a GPU batches are brought to few shapes (<see cref="BatchShape"/>) and
/// a shape that comes again is replayed as a graph.
/// </summary>
/// <param name="model">The model, in training mode.</param>
/// <param name="device">Where its parameters are.</param>
/// <param name="scaler">The factor on the loss where activations are F16: gradients are those of the loss times it. Null for none.</param>
/// <param name="graphs">Whether to capture graphs where the device can. The results are the same bits.</param>
/// <param name="kept">
/// Shapes that are kept; beyond it the one that was not used for longest goes. A graph costs the host some megabytes; on the GPU all share their memory.
/// </param>
internal sealed class StepRunner(PlipModel model, Device device, LossScaler? scaler = null, bool graphs = false, int kept = 16) : IDisposable
{
    private readonly ulong _seed = model.Config.Training.Seed;
    private readonly Dictionary<(BatchShape Shape, float Scale), Shaped> _shapes = [];
    private SharedInputs? _inputs;
    private long _turn, _gone;

    /// <summary>Shapes that are kept at the moment.</summary>
    public int Shapes => _shapes.Count;

    /// <summary>How many batches were replays.</summary>
    public long Replays => _gone + _shapes.Values.Sum(s => s.Pass.Replays);

    /// <summary>The sum of the weighted losses, and each task's own.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="scale">Factor on the gradients: one over the accumulated batches.</param>
    /// <exception cref="ArgumentException">An id, a label or an offset that the model cannot use; nothing was read out of bounds.</exception>
    public StepLosses Run(Batch batch, float scale)
    {
        if (device is CudaDevice or PlanDevice { ForGpu: true }) return RunShaped(batch, scale);
        using var step = device.BeginStep();
        var losses = Pass(Upload(batch), step, scale, out var tasks);
        return StepLosses.Read(losses, tasks);
    }

    private StepLosses RunShaped(Batch batch, float scale)
    {
        var shaped = For(BatchShape.Of(batch), scale, batch.Size);
        shaped.Inputs.Upload(batch);
        shaped.Pass.Run(() =>
        {
            using var step = device.BeginStep();
            var losses = Pass(shaped.Inputs.For(model, _seed), step, scale, out var tasks);
            shaped.Result?.Release();
            (shaped.Result, shaped.Tasks) = (losses?.Persist(), tasks);
        });
        return StepLosses.Read(shaped.Result, shaped.Tasks);
    }

    /// <summary>A batch as it is.</summary>
    private TaskBatch Upload(Batch batch)
    {
        var image = model.Config.Image;
        var images = Tensor.From(device, batch.Images, new Shape(batch.Size, image.Height, image.Width, 3));
        var identities = Tensor.From(device, batch.Identities, new Shape(batch.Size));
        var captions = PackedText.From(device, batch.TokenIds.AsSpan(0, batch.TokenCount), batch.CuSeqlens);
        var masked = !NeedsMasked ? null : MaskedCaptions.From(
            device, batch.MaskedTokenIds.AsSpan(0, batch.MaskedTokenCount), batch.MaskedCuSeqlens, batch.MaskedLabels.AsSpan(0, batch.MaskedTokenCount));
        return new TaskBatch(model, images, identities, captions, masked, new DropoutStream(_seed, (uint)batch.Step));
    }

    private bool NeedsMasked => model.Task<IapTask>() != null;

    /// <summary>Forward and backward: the weighted sum and behind it each task's own loss, null when no task had anything to learn from.</summary>
    private Tensor? Pass(TaskBatch batch, Step step, float scale, out string[] tasks)
    {
        var (names, losses, terms) = (new List<string>(), new List<Tensor>(), new List<(Tensor Loss, float Weight)>());
        Tensor? total;
        using (Profiler.Phase(device, "forward"))
        {
            foreach (var task in model.Tasks)
            {
                using var phase = Profiler.Phase(device, task.Name);
                if (task.Loss(batch) is not { } loss) continue;
                names.Add(task.Name);
                losses.Add(loss.Keep());
                terms.Add((loss, task.Weight));
            }
            total = terms.Count == 0 ? null : Ops.WeightedSum(terms);
        }
        tasks = [.. names];
        if (total == null) return null;
        (scaler?.Apply(total.Keep()) ?? total).Backward(scale);
        using var quiet = step.NoGrad();
        return Ops.Concat([.. losses.Prepend(total).Select(l => Ops.Reshape(l, 1))], 0);
    }

    private Shaped For(BatchShape shape, float scale, int size)
    {
        if (!_shapes.TryGetValue((shape, scale), out var shaped))
        {
            if (_shapes.Count == kept)
            {
                var (key, oldest) = _shapes.MinBy(s => s.Value.Turn);
                _shapes.Remove(key);
                _gone += oldest.Pass.Replays;
                oldest.Dispose();
            }
            _inputs ??= new SharedInputs(device, size, model.Config.Image.Height, model.Config.Image.Width);
            _shapes[(shape, scale)] = shaped = new Shaped(new BatchTensors(_inputs, shape, NeedsMasked), new Replayed(device, graphs));
        }
        shaped.Turn = ++_turn;
        return shaped;
    }

    /// <summary>Returns the memory of graphs and batches.</summary>
    public void Dispose()
    {
        foreach (var shaped in _shapes.Values) shaped.Dispose();
        _shapes.Clear();
        _inputs?.Dispose();
        _inputs = null;
    }

    /// <summary>A shape's inputs, its pass, and where that leaves the losses.</summary>
    private sealed record Shaped(BatchTensors Inputs, Replayed Pass) : IDisposable
    {
        public long Turn { get; set; }

        public Tensor? Result { get; set; }

        public string[] Tasks { get; set; } = [];

        public void Dispose()
        {
            Pass.Dispose();
            Result?.Release();
            Inputs.Dispose();
        }
    }
}

/// <summary>Losses of a batch.</summary>
/// <param name="Total">L_ivlc + λ1·L_tic + λ2·L_iap.</param>
/// <param name="Tasks">Each task's loss, not weighted; a task that had nothing to learn from is missing.</param>
internal sealed record StepLosses(double Total, Dictionary<string, double> Tasks)
{
    /// <summary>Reads the total and the tasks' losses behind it: on a GPU this waits, once.</summary>
    public static StepLosses Read(Tensor? losses, string[] tasks)
    {
        if (losses == null) return new StepLosses(0, []);
        var values = losses.ToArray();
        var named = new Dictionary<string, double>(StringComparer.Ordinal);
        for (var i = 0; i < tasks.Length; i++) named[tasks[i]] = values[i + 1];
        return new StepLosses(values[0], named);
    }

    /// <summary>The mean over accumulated batches.</summary>
    public static StepLosses Mean(IReadOnlyList<StepLosses> parts)
    {
        if (parts.Count == 1) return parts[0];
        var tasks = parts.SelectMany(p => p.Tasks).GroupBy(t => t.Key, StringComparer.Ordinal).ToDictionary(g => g.Key, g => g.Average(t => t.Value), StringComparer.Ordinal);
        return new StepLosses(parts.Average(p => p.Total), tasks);
    }
}
