using Plip.Configs;
using Plip.Engine;

namespace Plip.Tasks;

/// <summary>Identity-based vision-language contrast: pictures and captions of one identity are to project on each other.</summary>
public sealed class IvlcTask(IvlcConfig config) : PretextTask
{
    /// <inheritdoc/>
    public override string Name => "ivlc";

    /// <inheritdoc/>
    public override float Weight => 1f;

    /// <inheritdoc/>
    public override Tensor Loss(TaskBatch batch)
    {
        var (v, t, ids) = (batch.ImageEmbedding, batch.CaptionEmbedding, batch.Identities);
        return config.Loss switch
        {
            IvlcLoss.Cmpm => Ops.Cmpm(v, t, ids, config.Normalize, config.Scale, config.Labels),
            IvlcLoss.Sdm => Ops.Sdm(v, t, ids, config.Scale),
            IvlcLoss.Alignment => Ops.AlignmentLoss(v, t, ids),
            IvlcLoss.InfoNce => Ops.InfoNce(v, t, config.Scale),
            _ => throw new InvalidOperationException($"no loss {config.Loss}"),
        };
    }
}
