namespace Plip.Bench;

/// <summary>
/// One side of a case, with its inputs in place. <see cref="Prepare"/> comes before every run and is not timed: what a
/// backward needs recorded, for one.
/// </summary>
internal sealed class Timed(Action run, Action? prepare = null, Action? release = null, Func<Fact[]>? facts = null) : IDisposable
{
    /// <summary>What is timed.</summary>
    public Action Run { get; } = run;

    /// <summary>What must come first and is not timed.</summary>
    public Action? Prepare { get; } = prepare;

    /// <summary>Figures that ours and a peer must share if they are to be compared.</summary>
    public Fact[] Facts() => facts?.Invoke() ?? [];

    /// <inheritdoc/>
    public void Dispose() => release?.Invoke();
}

/// <summary>A figure that shows that two programs do the same work.</summary>
/// <param name="Name">Such as "parameters" or "loss ivlc".</param>
/// <param name="Value">The figure.</param>
/// <param name="Tolerance">Relative difference that is let pass.</param>
internal readonly record struct Fact(string Name, double Value, double Tolerance)
{
    /// <summary>Compares the facts of ours and of a peer by name.</summary>
    /// <exception cref="BenchException">One is missing or differs: the two do not do the same work.</exception>
    public static void RequireSame(IReadOnlyList<Fact> ours, IReadOnlyList<Fact> peer, string peerName)
    {
        foreach (var mine in ours)
        {
            var found = peer.Where(f => f.Name == mine.Name).ToArray();
            if (found.Length == 0) throw new BenchException($"{peerName} does not say its {mine.Name}; it cannot be compared");
            if (!(Math.Abs(found[0].Value - mine.Value) <= mine.Tolerance * Math.Abs(mine.Value)))
                throw new BenchException(FormattableString.Invariant($"{mine.Name} is {mine.Value:R} here and {found[0].Value:R} in {peerName}: not the same work, so not compared"));
        }
    }
}
