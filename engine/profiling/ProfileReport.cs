namespace Plip.Engine;

/// <summary>All launches of a kernel (or copies of a kind) together.</summary>
/// <param name="Name">The kernel's name. "other" is arithmetic that states no work.</param>
/// <param name="Calls">Launches.</param>
/// <param name="Milliseconds">Their time, without kernels inside them.</param>
/// <param name="Share">Of the whole profile's time, 0 to 1.</param>
/// <param name="Bytes">Memory traffic they need.</param>
/// <param name="Flops">Operations they need.</param>
/// <param name="FloorMilliseconds">The time a machine at its peak would need: the sum over launches of max(flops/peak, bytes/bandwidth).</param>
public sealed record KernelCost(string Name, int Calls, double Milliseconds, double Share, long Bytes, double Flops, double FloorMilliseconds)
{
    /// <summary>Operations a second in 10⁹.</summary>
    public double GFlops => Milliseconds > 0 ? Flops / Milliseconds / 1e6 : 0;

    /// <summary>Bytes a second in 10⁹, as if each were moved once; above the memory's own rate where they come from a cache.</summary>
    public double GBytes => Milliseconds > 0 ? Bytes / Milliseconds / 1e6 : 0;

    /// <summary>Floor over time: 1 is as fast as the machine can; above 1 the data came from a cache. Null where no work is stated.</summary>
    public double? ShareOfFloor => FloorMilliseconds > 0 && Milliseconds > 0 ? FloorMilliseconds / Milliseconds : null;
}

/// <summary>A marked part of the step.</summary>
/// <param name="Name">As marked.</param>
/// <param name="Calls">How often it was entered.</param>
/// <param name="Milliseconds">Time inside.</param>
public sealed record PhaseCost(string Name, int Calls, double Milliseconds);

/// <summary>Where the time of a profile went, against what the machine can do.</summary>
/// <param name="Machine">The machine's peaks.</param>
/// <param name="Milliseconds">The whole time.</param>
/// <param name="Outside">Milliseconds outside kernels and copies: the program itself.</param>
/// <param name="Kernels">The most expensive first.</param>
/// <param name="Phases">In the order in which they first began.</param>
/// <param name="PeakBytes">Most bytes of the device in use at once.</param>
public sealed record ProfileReport(
    MachinePeak Machine, double Milliseconds, double Outside, IReadOnlyList<KernelCost> Kernels, IReadOnlyList<PhaseCost> Phases, long PeakBytes)
{
    /// <summary>The sum of the kernels' floors.</summary>
    public double FloorMilliseconds => Kernels.Sum(k => k.FloorMilliseconds);

    /// <summary>Floor over whole time. Kernels that state no work, and the program's own time, count as waste.</summary>
    public double ShareOfFloor => Milliseconds > 0 ? FloorMilliseconds / Milliseconds : 0;

    /// <summary>Adds a profile up.</summary>
    public static ProfileReport Of(Profile profile, MachinePeak machine)
    {
        var kernels = new Dictionary<string, KernelCost>(StringComparer.Ordinal);
        var phases = new Dictionary<string, PhaseCost>(StringComparer.Ordinal);
        var order = new List<string>();
        foreach (var e in profile.Events)
        {
            if (e.Kind == ProfileKind.Op) continue;
            if (e.Kind == ProfileKind.Phase)
            {
                if (!phases.ContainsKey(e.Name)) order.Add(e.Name);
                var p = phases.GetValueOrDefault(e.Name) ?? new PhaseCost(e.Name, 0, 0);
                phases[e.Name] = p with { Calls = p.Calls + 1, Milliseconds = p.Milliseconds + e.Duration / 1e6 };
                continue;
            }
            var k = kernels.GetValueOrDefault(e.Name) ?? new KernelCost(e.Name, 0, 0, 0, 0, 0, 0);
            kernels[e.Name] = k with
            {
                Calls = k.Calls + 1,
                Milliseconds = k.Milliseconds + e.Self / 1e6,
                Bytes = k.Bytes + e.Bytes,
                Flops = k.Flops + e.Flops,
                FloorMilliseconds = k.FloorMilliseconds + 1e3 * machine.Floor(e.Flops, e.Bytes),
            };
        }
        var whole = profile.Duration / 1e6;
        var rows = kernels.Values.Select(k => k with { Share = whole > 0 ? k.Milliseconds / whole : 0 })
            .OrderByDescending(k => k.Milliseconds).ThenBy(k => k.Name, StringComparer.Ordinal).ToArray();
        return new ProfileReport(machine, whole, whole - rows.Sum(r => r.Milliseconds), rows, [.. order.Select(n => phases[n])], profile.PeakBytes);
    }
}
