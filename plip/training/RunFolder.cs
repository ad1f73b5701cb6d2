using System.Text.Json;
using System.Text.Json.Serialization;
using Plip.Configs;
using Plip.Engine;
using Plip.Model;
using Plip.Text;

namespace Plip.Training;

/// <summary>Where a run stands. With the seed this is all that resuming needs: order, augmentation, masking and dropout follow from it.</summary>
internal sealed record TrainerState
{
    /// <summary>Steps done, those included whose update was refused.</summary>
    public long Step { get; init; }

    /// <summary>Steps whose update was refused, for a gradient overflowed in F16.</summary>
    public long Refused { get; init; }

    /// <summary>The best validation mAP so far.</summary>
    public double BestMap { get; init; }

    /// <summary>Its step.</summary>
    public long BestStep { get; init; }
}

/// <summary>
/// A run's folder: metrics.jsonl, checkpoints/last (everything, to go on) and checkpoints/best (weights alone, to use).
/// </summary>
internal sealed class RunFolder(string folder, Action<string>? warn)
{
    private const string OptimizerPrefix = "optimizer.", EmaPrefix = "ema.", ScalerPrefix = "scaler.";

    public string Metrics
    {
        get
        {
            Directory.CreateDirectory(folder);
            return Path.Combine(folder, "metrics.jsonl");
        }
    }

    public string Best => Path.Combine(folder, "checkpoints", "best");

    public string Last => Path.Combine(folder, "checkpoints", "last");

    /// <summary>The newest checkpoint that was written or read, for error messages; null before the first.</summary>
    public string? LastGood { get; private set; }

    public void SaveBest(PlipConfig config, Vocabulary vocabulary, ParameterStore store, TrainerState state)
    {
        var tensors = new StateDict();
        tensors.Add(store.StateDict(), PlipCheckpoint.ModelPrefix);
        Checkpoint.Save(Best, state.Step, tensors, Metadata(config, vocabulary, state), keep: 1, warn);
    }

    public void SaveLast(PlipConfig config, Vocabulary vocabulary, ParameterStore store, Optimizer optimizer, Ema? ema, LossScaler? scaler, TrainerState state)
    {
        var tensors = new StateDict();
        tensors.Add(store.StateDict(), PlipCheckpoint.ModelPrefix);
        tensors.Add(optimizer.StateDict(), OptimizerPrefix);
        if (ema != null) tensors.Add(ema.StateDict(), EmaPrefix);
        if (scaler != null) tensors.Add(scaler.StateDict(), ScalerPrefix);
        LastGood = Checkpoint.Save(Last, state.Step, tensors, Metadata(config, vocabulary, state), keep: 2, warn);
    }

    /// <summary>Loads the newest valid checkpoint of checkpoints/last into a run of the same configuration.</summary>
    public TrainerState Resume(PlipConfig config, Vocabulary vocabulary, ParameterStore store, Optimizer optimizer, Ema? ema, LossScaler? scaler)
    {
        using var file = Checkpoint.Open(Last, warn);
        var (savedConfig, savedWords) = PlipCheckpoint.Describe(file);
        PlipCheckpoint.RequireSameModel(config, savedConfig, file.Path);
        if (Difference(savedConfig, config, Bound) is { } fixedOne)
            throw new ConfigException($"{file.Path} was trained with other settings than {config.Name} has now: {fixedOne}. Resume with the settings it began with, or start anew in another folder");
        if (Difference(savedConfig, config, BitForBit) is { } changed)
            warn?.Invoke($"{file.Path} was trained with other settings than {config.Name} has now: {changed}. The run goes on with the new ones");
        if (!savedWords.Lines.SequenceEqual(vocabulary.Lines, StringComparer.Ordinal))
            throw new ConfigException($"{file.Path} has another vocabulary than this run; resume with the same --vocabulary and data");
        if (!file.Metadata.TryGetValue(PlipCheckpoint.TrainerKey, out var json) || JsonSerializer.Deserialize(json, TrainerJson.Default.TrainerState) is not { } state)
            throw new FileFormatException(file.Path, PlipCheckpoint.TrainerKey, "is missing: this file holds weights but no run; resume from checkpoints/last");
        if (file.Tensors.TryGet(OptimizerPrefix + "step") == null)
            throw new FileFormatException(file.Path, "optimizer", "is missing: this file holds the best weights, not the run; resume from checkpoints/last");
        if (scaler != null && file.Tensors.TryGet(ScalerPrefix + "scale") == null)
            throw new FileFormatException(file.Path, "scaler", "is missing: a run in F16 has its loss scale beside the optimiser's state; start anew in another folder");
        store.Load(file.Tensors.Under(PlipCheckpoint.ModelPrefix));
        optimizer.Load(file.Tensors.Under(OptimizerPrefix));
        ema?.Load(file.Tensors.Under(EmaPrefix));
        scaler?.Load(file.Tensors.Under(ScalerPrefix));
        LastGood = file.Path;
        return state;
    }

    /// <summary>What must not change within a run: all but what steers the size of an update and what changes no bit.</summary>
    private static PlipConfig Bound(PlipConfig c) =>
        c with { Training = c.Training with { LearningRate = 1, Warmup = 0, ClipNorm = 0, Workers = 1, CudaGraphs = true, ValidateEvery = 0 } };

    /// <summary>Without what changes no bit.</summary>
    private static PlipConfig BitForBit(PlipConfig c) => c with { Training = c.Training with { Workers = 1, CudaGraphs = true } };

    /// <summary>The first line in which two configurations differ, in words; null where they do not.</summary>
    private static string? Difference(PlipConfig saved, PlipConfig now, Func<PlipConfig, PlipConfig> part)
    {
        var (a, b) = (ConfigFile.ToJson(part(saved)).Split('\n'), ConfigFile.ToJson(part(now)).Split('\n'));
        var line = Enumerable.Range(0, Math.Max(a.Length, b.Length)).FirstOrDefault(i => a.ElementAtOrDefault(i) != b.ElementAtOrDefault(i), -1);
        return line < 0 ? null : $"{Trim(a)} then, {Trim(b)} now";

        string Trim(string[] lines) => lines.ElementAtOrDefault(line)?.Trim(' ', ',') ?? "nothing";
    }

    private static Dictionary<string, string> Metadata(PlipConfig config, Vocabulary vocabulary, TrainerState state) => new(StringComparer.Ordinal)
    {
        [PlipCheckpoint.ConfigKey] = ConfigFile.ToJson(config),
        [PlipCheckpoint.VocabularyKey] = string.Join('\n', vocabulary.Lines),
        [PlipCheckpoint.TrainerKey] = JsonSerializer.Serialize(state, TrainerJson.Default.TrainerState),
    };
}

[JsonSerializable(typeof(TrainerState))]
internal sealed partial class TrainerJson : JsonSerializerContext;
