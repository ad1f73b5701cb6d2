namespace Plip.Training;

/// <summary>What the garbage collector had to do during the steps of an epoch; validation and saving are left out.</summary>
/// <param name="Epoch">The epoch, from 0.</param>
/// <param name="Steps">Optimiser steps counted.</param>
/// <param name="Gen0">Collections of the youngest generation alone.</param>
/// <param name="Gen1">Collections that went as far as the middle one.</param>
/// <param name="Gen2">Collections of everything.</param>
/// <param name="AllocatedBytes">Managed memory allocated, by the loader's threads too.</param>
public sealed record EpochGarbage(long Epoch, int Steps, int Gen0, int Gen1, int Gen2, long AllocatedBytes)
{
    /// <summary>Managed bytes allocated a step.</summary>
    public double BytesPerStep => Steps == 0 ? 0 : (double)AllocatedBytes / Steps;
}

/// <summary>
/// Counts collections while steps run, and collects the youngest generation between steps before the runtime would do it
/// in the middle of one. Then a step's handles, closures and tape are alive and would be promoted, a few hundred kilobytes
/// each time, until the middle generation has to be collected and at last everything; between steps next to nothing is
/// alive. Cost: about a millisecond every <see cref="CollectEvery"/> bytes.
/// </summary>
internal sealed class GarbageMeter
{
    /// <summary>Managed bytes between collections: below the youngest generation's budget on any machine with a few MB of cache.</summary>
    public const long CollectEvery = 4 << 20;

    private (int Gen0, int Gen1, int Gen2, long Bytes) _from;
    private long _collectedAt = GC.GetTotalAllocatedBytes();

    /// <summary>The epoch that is being counted.</summary>
    public EpochGarbage Current { get; private set; } = new(0, 0, 0, 0, 0, 0);

    /// <summary>The epoch before it, null in the first.</summary>
    public EpochGarbage? Last { get; private set; }

    /// <summary>A step begins.</summary>
    public void Begin(long epoch)
    {
        if (epoch != Current.Epoch)
        {
            if (Current.Steps > 0) Last = Current;
            Current = new EpochGarbage(epoch, 0, 0, 0, 0, 0);
        }
        _from = Now();
    }

    /// <summary>The step is over and its memory given back.</summary>
    public void End()
    {
        if (GC.GetTotalAllocatedBytes() - _collectedAt >= CollectEvery)
        {
            GC.Collect(0, GCCollectionMode.Forced, blocking: true);
            _collectedAt = GC.GetTotalAllocatedBytes();
        }
        var now = Now();
        // The runtime counts a collection of a generation for all younger ones too.
        var (g0, g1, g2) = (now.Gen0 - _from.Gen0, now.Gen1 - _from.Gen1, now.Gen2 - _from.Gen2);
        Current = Current with
        {
            Steps = Current.Steps + 1,
            Gen0 = Current.Gen0 + g0 - g1,
            Gen1 = Current.Gen1 + g1 - g2,
            Gen2 = Current.Gen2 + g2,
            AllocatedBytes = Current.AllocatedBytes + now.Bytes - _from.Bytes,
        };
    }

    private static (int Gen0, int Gen1, int Gen2, long Bytes) Now() => (GC.CollectionCount(0), GC.CollectionCount(1), GC.CollectionCount(2), GC.GetTotalAllocatedBytes());
}
