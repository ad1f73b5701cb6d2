using System.Text.Json;
using System.Text.Json.Serialization;
using Plip.Engine;

namespace Plip.Bench;

/// <summary>An op for a twin in another language: all that is needed to make the same inputs and call the same op.</summary>
/// <param name="Name">The case's name, by which times are joined.</param>
/// <param name="Op">Snake name.</param>
/// <param name="Type">f32 or bf16: the storage of inputs that say so.</param>
/// <param name="Pass">Forward, Backward, DataGradient or WeightGradient.</param>
/// <param name="Args">Stride and padding, factor, heads: as <see cref="OpSpec.Args"/>.</param>
/// <param name="Leaves">Inputs whose gradients are computed.</param>
/// <param name="Inputs">In the op's order, shaped as ours takes them: pictures (N, H, W, C), filters (R, S, C, K).</param>
internal sealed record TwinCase(string Name, string Op, string Type, Pass Pass, int[] Args, int[] Leaves, TwinInput[] Inputs)
{
    /// <summary>Writes the cases whose name or group holds the filter's text.</summary>
    public static void Save(string path, IEnumerable<DType> types, Sizes sizes, string filter)
    {
        var specs = types.SelectMany(t => CudaCases.Specs(t, sizes)).DistinctBy(s => s.Name).Where(s => CpuCommand.Takes(filter, OpWork.Case(s)));
        TwinCase[] cases =
        [
            .. specs.Select(Of),
            .. OptimizerCases.All.Where(c => CpuCommand.Takes(filter, c)).Select(c => new TwinCase(
                c.Name, c.Name.Split(' ')[0], "f32", Pass.Forward, [], [], [new(InputKind.Plain, [OptimizerCases.Rows, OptimizerCases.Cols], false, 0, 1, 0, null)])),
        ];
        File.WriteAllText(path, JsonSerializer.Serialize(cases, BenchJson.Default.TwinCaseArray) + "\n");
    }

    private static TwinCase Of(OpSpec s) => new(
        s.Name, s.Op, s.Type == DType.BF16 ? "bf16" : "f32", s.Pass, [s.Args.First, s.Args.Second], s.Leaves,
        [.. s.Inputs.Select((x, i) => new TwinInput(
            x.Kind, x.Shape, s.IsStored(x), x.Shift, x.Scale, x.Range, x.Kind == InputKind.Offsets ? Noise.Integers(x, i) : null))]);
}

/// <summary>An input of a <see cref="TwinCase"/>.</summary>
/// <param name="Stored">Stored as the case's type says; otherwise F32, or integers.</param>
/// <param name="Shift">Added to standard normal values.</param>
/// <param name="Scale">Factor on them.</param>
/// <param name="Range">Exclusive bound of indices.</param>
/// <param name="Values">Offsets themselves.</param>
internal sealed record TwinInput(InputKind Kind, int[] Shape, bool Stored, float Shift, float Scale, int Range, int[]? Values);

/// <summary>A twin's times.</summary>
/// <param name="Torch">PyTorch's version.</param>
/// <param name="Gpu">The GPU it ran on.</param>
/// <param name="Rows">Its medians.</param>
internal sealed record TwinResult(string Torch, string Gpu, TwinRow[] Rows)
{
    /// <summary>Reads what a twin wrote.</summary>
    /// <exception cref="BenchException">There is no such file, or it is none of a twin.</exception>
    public static TwinResult Load(string path)
    {
        if (!File.Exists(path)) throw new BenchException($"{path}: there is no such file; tools/gpu-check/torch_twin.py writes one");
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(path), BenchJson.Default.TwinResult) is { Torch: not null, Rows: not null } result
                ? result
                : throw new BenchException($"{path}: expected an object with \"torch\" and \"rows\", as torch_twin.py writes it");
        }
        catch (JsonException e)
        {
            throw new BenchException($"{path}: {e.Message} (expected a file of torch_twin.py)", e);
        }
    }
}

/// <summary>A twin's time of a case.</summary>
/// <param name="Name">The case.</param>
/// <param name="Peer">"pytorch", and the variant that was fastest.</param>
/// <param name="Ms">Median milliseconds.</param>
internal sealed record TwinRow(string Name, string Peer, double Ms);
