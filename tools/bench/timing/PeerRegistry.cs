namespace Plip.Bench;

/// <summary>
/// The peers, by the name of a case. A peer has a family ("libtorch") and variants ("channels_last", "nchw"): of a family the
/// fastest variant is reported, and each family has a row of its own. A program with peers adds them and calls
/// <see cref="BenchCommand.Run"/>; this one has none.
/// </summary>
internal sealed class PeerRegistry
{
    private readonly List<Variant> _variants = [];
    private readonly List<Action<int>> _starts = [];

    /// <summary>Versions by family, for the machine's block.</summary>
    public Dictionary<string, string> Versions { get; } = new(StringComparer.Ordinal);

    /// <summary>Adds a variant of a peer for a case.</summary>
    /// <param name="caseName">The case's name.</param>
    /// <param name="family">Who it is: "libtorch", "onnxruntime".</param>
    /// <param name="variant">What is special about it; "" for nothing.</param>
    /// <param name="make">Puts its inputs in place. Called when the case's turn has come, perhaps more than once.</param>
    public void Add(string caseName, string family, string variant, Func<Timed> make) =>
        _variants.Add(new Variant(caseName, family, variant.Length == 0 ? family : $"{family} {variant}", make));

    /// <summary>Registers what must run before the first case, given the number of threads.</summary>
    public void OnStart(Action<int> start) => _starts.Add(start);

    public void Start(int threads)
    {
        foreach (var start in _starts) start(threads);
    }

    public bool Has(string caseName) => _variants.Exists(v => v.Case == caseName);

    /// <summary>The variants of each family for a case.</summary>
    public IEnumerable<IGrouping<string, Variant>> For(string caseName) => _variants.Where(v => v.Case == caseName).GroupBy(v => v.Family, StringComparer.Ordinal);

    /// <summary>Fails when a peer was added for a case that there is not.</summary>
    /// <exception cref="BenchException">Names the peer and the case.</exception>
    public void RequireKnown(IEnumerable<string> caseNames)
    {
        var known = caseNames.ToHashSet(StringComparer.Ordinal);
        if (_variants.Find(v => !known.Contains(v.Case)) is { } lost) throw new BenchException($"{lost.Name} is a peer for \"{lost.Case}\", but there is no such case");
    }

    internal sealed record Variant(string Case, string Family, string Name, Func<Timed> Make);
}
