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
    /// <summary>Optimiser steps done.</summary>
    public long Step { get; init; }

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
    private const string OptimizerPrefix = "optimizer.", EmaPrefix = "ema.";

    private string _lastGood = "none yet";

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

    /// <summary>The newest checkpoint that was written or read, for error messages.</summary>
    public string LastGood => _lastGood;

    public void SaveBest(PlipConfig config, Vocabulary vocabulary, ParameterStore store, TrainerState state)
    {
        var tensors = new StateDict();
        tensors.Add(store.StateDict(), PlipCheckpoint.ModelPrefix);
        Checkpoint.Save(Best, state.Step, tensors, Metadata(config, vocabulary, state), keep: 1, warn);
    }

    public void SaveLast(PlipConfig config, Vocabulary vocabulary, ParameterStore store, Optimizer optimizer, Ema? ema, TrainerState state)
    {
        var tensors = new StateDict();
        tensors.Add(store.StateDict(), PlipCheckpoint.ModelPrefix);
        tensors.Add(optimizer.StateDict(), OptimizerPrefix);
        if (ema != null) tensors.Add(ema.StateDict(), EmaPrefix);
        _lastGood = Checkpoint.Save(Last, state.Step, tensors, Metadata(config, vocabulary, state), keep: 2, warn);
    }

    /// <summary>Loads the newest valid checkpoint of checkpoints/last into a run of the same configuration.</summary>
    public TrainerState Resume(PlipConfig config, Vocabulary vocabulary, ParameterStore store, Optimizer optimizer, Ema? ema)
    {
        using var file = Checkpoint.Open(Last, warn);
        var (savedConfig, savedWords) = PlipCheckpoint.Describe(file);
        PlipCheckpoint.RequireSameModel(config, savedConfig, file.Path);
        if (ConfigFile.ToJson(config) != ConfigFile.ToJson(savedConfig))
            throw new ConfigException($"{file.Path} was trained with other training settings than {config.Name} has now; resume with the settings it began with, or start anew in another folder");
        if (!savedWords.Lines.SequenceEqual(vocabulary.Lines, StringComparer.Ordinal))
            throw new ConfigException($"{file.Path} has another vocabulary than this run; resume with the same --vocabulary and data");
        if (!file.Metadata.TryGetValue(PlipCheckpoint.TrainerKey, out var json) || JsonSerializer.Deserialize(json, TrainerJson.Default.TrainerState) is not { } state)
            throw new FileFormatException(file.Path, PlipCheckpoint.TrainerKey, "is missing: this file holds weights but no run; resume from checkpoints/last");
        store.Load(file.Tensors.Under(PlipCheckpoint.ModelPrefix));
        optimizer.Load(file.Tensors.Under(OptimizerPrefix));
        ema?.Load(file.Tensors.Under(EmaPrefix));
        _lastGood = file.Path;
        return state;
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
