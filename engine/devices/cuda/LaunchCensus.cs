namespace Plip.Engine;

/// <summary>Counts what a device launches, for the commands that must see every kernel run. Installed by <see cref="CudaDevice.Census"/>.</summary>
internal sealed class LaunchCensus
{
    private readonly Dictionary<(string File, string Kernel, string Type, Launch Shape), int> _launches = [];

    /// <summary>File, kernel, the element type it was compiled for ("" where it has none), shape, and how often.</summary>
    public IEnumerable<(string File, string Kernel, string Type, Launch Shape, int Count)> Launches =>
        _launches.Select(l => (l.Key.File, l.Key.Kernel, l.Key.Type, l.Key.Shape, l.Value));

    /// <summary>Notes a launch.</summary>
    public void Add(string file, string kernel, ReadOnlySpan<Define> defines, in Launch shape)
    {
        var type = "";
        foreach (var d in defines)
            if (d.Name == "TYPE") type = d.Value;
        var key = (file, kernel, type, shape);
        _launches[key] = _launches.GetValueOrDefault(key) + 1;
    }
}
