namespace Plip.Engine;

/// <summary>
/// Trades time for memory: what a part of a network makes on its way is not kept for the backward but made again in it.
/// Chen et al., arXiv:1604.06174.
/// </summary>
/// <remarks>
///   forward   body(x) in a step of its own, not recorded, of which only the result is left
///   backward  body(x) once more, recorded, and walked at once: dx, and the gradients of the body's parameters
///   saved     x, which the op before it has kept anyway
///   care      the body must give the same bits again: dropout begins at the same place, and batch norm leaves its running statistics alone
/// Cost: the body's forward a second time. The peak holds one body's activations rather than all.
/// </remarks>
public static class Recompute
{
    /// <summary>body(x), with x alone kept for the backward.</summary>
    /// <param name="x">The input. Whatever else the body reads must be parameters, or need no gradient.</param>
    /// <param name="body">A function of x and parameters, run twice.</param>
    /// <exception cref="InvalidOperationException">In the backward: the body reads another tensor that the tape has recorded.</exception>
    public static Tensor Run(Tensor x, Func<Tensor, Tensor> body)
    {
        var device = x.Device;
        if (device.CurrentStep == null) return body(x);
        Tensor y;
        bool needed;
        using (var inner = device.BeginStep(recordGradients: false))
        {
            y = body(x);
            if (y.Owner == inner) y.MoveTo(inner.Outer);
            needed = inner.MetGradients;
        }
        return Tape.Record(y, [x], needed, dy => [Backward(x, dy, body)], null, nameof(Recompute));
    }

    private static Tensor? Backward(Tensor x, Tensor dy, Func<Tensor, Tensor> body)
    {
        var (device, again) = (x.Device, x.Device.IsRecomputing);
        using var inner = device.BeginStep();
        device.IsRecomputing = true;
        try
        {
            var leaf = x.View(x.Shape);
            leaf.NeedsGrad = x.NeedsGrad;
            var y = body(leaf);
            if (y.IsRecorded)
            {
                using var quiet = inner.NoGrad();
                inner.Tape.Walk(y, dy.View(dy.Shape));
            }
            leaf.Release();
            return leaf.Grad;
        }
        finally
        {
            device.IsRecomputing = again;
        }
    }
}
