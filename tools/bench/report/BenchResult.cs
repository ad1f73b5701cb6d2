using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Plip.Bench;

/// <summary>A run's results, as they stand in a file.</summary>
/// <param name="Machine">Where it ran.</param>
/// <param name="Rows">What it measured, in order.</param>
internal sealed record BenchResult(Machine Machine, IReadOnlyList<ResultRow> Rows)
{
    /// <summary>Writes the file, whole or not at all.</summary>
    public void Save(string path)
    {
        File.WriteAllText(path + ".part", JsonSerializer.Serialize(this, BenchJson.Default.BenchResult) + "\n");
        File.Move(path + ".part", path, overwrite: true);
    }

    /// <summary>Reads a file of <see cref="Save"/>.</summary>
    /// <exception cref="BenchException">There is none, or it is no result.</exception>
    public static BenchResult Load(string path)
    {
        if (!File.Exists(path)) throw new BenchException($"{path}: there is no such file; bench cpu --json FILE writes one");
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(path), BenchJson.Default.BenchResult) is { Machine: not null, Rows: not null } result
                ? result
                : throw new BenchException($"{path}: expected an object with \"machine\" and \"rows\", as bench cpu --json writes it");
        }
        catch (JsonException e)
        {
            throw new BenchException($"{path}: {e.Message} (expected a file of bench cpu --json)", e);
        }
    }
}

/// <summary>One case, ours against one peer.</summary>
internal sealed record ResultRow
{
    /// <summary>gemm, conv, fused, step or embedding.</summary>
    public required string Group { get; init; }

    /// <summary>The op's snake name, its shape, and forward, backward or which gradient.</summary>
    public required string Name { get; init; }

    /// <summary>Median milliseconds.</summary>
    public required double OursMs { get; init; }

    /// <summary>The peer and its variant; null where there is none.</summary>
    public string? Peer { get; init; }

    /// <summary>Median milliseconds of the peer.</summary>
    public double? PeerMs { get; init; }

    /// <summary>peer / ours: above 1, ours is faster.</summary>
    public double? Ratio { get; init; }

    /// <summary>The least time the counted work could take here, over ours. Above 1 where the data stays in caches.</summary>
    public double ShareOfFloor { get; init; }

    /// <summary>Counted operations a second; null for work that is bytes alone.</summary>
    public double? Gflops { get; init; }

    /// <summary>What a run handles many of: pairs, pictures, texts; null for ops.</summary>
    public string? Items { get; init; }

    /// <summary>Ours.</summary>
    public double? ItemsPerSecond { get; init; }

    /// <summary>The peer's.</summary>
    public double? PeerItemsPerSecond { get; init; }

    /// <summary>A case's row without a peer.</summary>
    /// <param name="c">The case.</param>
    /// <param name="seconds">Median.</param>
    /// <param name="floorMs">The least time it could take.</param>
    public static ResultRow Of(BenchCase c, double seconds, double floorMs) => new()
    {
        Group = c.Group,
        Name = c.Name,
        OursMs = seconds * 1e3,
        ShareOfFloor = floorMs / (seconds * 1e3),
        Gflops = c.Flops > 0 ? c.Flops / seconds / 1e9 : null,
        Items = c.ItemName,
        ItemsPerSecond = c.Items > 0 ? c.Items / seconds : null,
    };

    /// <summary>For the console.</summary>
    public string ToLine() => string.Create(CultureInfo.InvariantCulture,
        $"{Name,-58} {OursMs,10:0.000} ms {(PeerMs is { } p ? $"{p.ToString("0.000", CultureInfo.InvariantCulture),10} ms  x{Ratio!.Value.ToString("0.00", CultureInfo.InvariantCulture),-6}" : new string(' ', 23))} {100 * ShareOfFloor,4:0} % of floor  {Peer}{(ItemsPerSecond is { } i ? string.Create(CultureInfo.InvariantCulture, $"  {i:0.0} {Items}/s") : "")}");
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, UseStringEnumConverter = true)]
[JsonSerializable(typeof(BenchResult))]
[JsonSerializable(typeof(TwinCase[]))]
[JsonSerializable(typeof(TwinResult))]
internal sealed partial class BenchJson : JsonSerializerContext;
