namespace Plip.Engine;

/// <summary>Runs a part of a network that nothing will be asked of later: frozen layers, or any in evaluation.</summary>
/// <remarks>Without it tensors made on the way live until their step ends: nothing else tells that they are done with.</remarks>
public static class Discard
{
    /// <summary>What body makes, unrecorded; everything else made in it goes back at once.</summary>
    /// <param name="device">Where it runs.</param>
    /// <param name="body">Must not need a gradient, or the caller must not.</param>
    public static Tensor AllBut(Device device, Func<Tensor> body)
    {
        if (device.CurrentStep == null) return body();
        using var inner = device.BeginStep(recordGradients: false);
        var y = body();
        return y.Owner == inner ? y.MoveTo(inner.Outer) : y;
    }
}
