using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Plip.Configs;
using Plip.Data;
using Plip.Evaluation;
using Plip.Text;

namespace Plip.Ablation;

/// <summary>How a run ended.</summary>
public enum AblationOutcome
{
    /// <summary>Trained to its last step and evaluated.</summary>
    Finished,

    /// <summary>A loss, a gradient, a weight or an embedding was not finite.</summary>
    Diverged,

    /// <summary>The base configuration cannot be changed so; nothing was trained.</summary>
    Impossible,
}

/// <summary>What one run left: the row of a table for one seed. Kept as run.json in the run's folder.</summary>
/// <param name="Digest">SHA-256 of everything that decides the figures: configuration, words, training and test entries. A run is taken for done by it alone.</param>
/// <param name="Seed">Its seed.</param>
/// <param name="Outcome">How it ended.</param>
/// <param name="Reason">Why it did not finish, in words; empty where it did.</param>
/// <param name="Steps">Optimiser steps done.</param>
/// <param name="Seconds">Training's time; null where the run was stopped and went on.</param>
/// <param name="TextToImage">Captions search pictures; null without a contrast, for which there is nothing to search by.</param>
/// <param name="TextChance">What chance reaches there.</param>
/// <param name="ImageToImage">Pictures search pictures (<see cref="ImageReid"/>).</param>
/// <param name="ImageChance">What chance reaches there.</param>
/// <param name="Losses">Each task's loss, the mean of the last tenth of the steps.</param>
public sealed record AblationRun(
    string Digest, ulong Seed, AblationOutcome Outcome, string Reason, long Steps, double? Seconds,
    RetrievalResult? TextToImage, ChanceLevel? TextChance, RetrievalResult? ImageToImage, ChanceLevel? ImageChance,
    IReadOnlyDictionary<string, double> Losses)
{
    internal const string FileName = "run.json";

    /// <summary>The record of a folder if it is of this very run, else null: of another configuration or data, damaged, or not there.</summary>
    public static AblationRun? Read(string folder, string digest)
    {
        var path = Path.Combine(folder, FileName);
        if (!File.Exists(path)) return null;
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(path), AblationJson.Default.AblationRun) is { } run && run.Digest == digest ? run : null;
        }
        catch (JsonException)
        {
            return null; // cut short or edited: the run is made again, to the same bits
        }
    }

    /// <summary>Writes the record; it appears only when complete.</summary>
    public void Write(string folder) => AblationJson.Replace(Path.Combine(folder, FileName), JsonSerializer.Serialize(this, AblationJson.Default.AblationRun));
}

/// <summary>The digest of a run, and of the data behind it.</summary>
internal static class AblationDigest
{
    /// <summary>Hex of SHA-256 over a configuration (without what changes no bit) and what it is trained and tested on.</summary>
    public static string Of(PlipConfig config, string data)
    {
        var training = config.Training with { Workers = 1, CudaGraphs = true, ValidateEvery = 0 };
        return Hex($"plip ablation 1\n{ConfigFile.ToJson(config with { Name = "", Training = training })}\n{data}");
    }

    /// <summary>Hex of SHA-256 over words and both sets' entries: paths, identities, captions. Not over the pictures' bytes, which would have to be read for it.</summary>
    public static string Of(PersonDataset train, PersonDataset test, Vocabulary words)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        void Line(string text) => hash.AppendData(Encoding.UTF8.GetBytes(text + "\n"));
        foreach (var word in words.Lines) Line(word);
        foreach (var set in new[] { train, test })
        {
            Line(set.Images.Count.ToString(CultureInfo.InvariantCulture));
            foreach (var image in set.Images)
            {
                Line(image.RelativePath);
                Line(image.Identity.ToString(CultureInfo.InvariantCulture));
                foreach (var caption in image.Captions) Line(caption);
                foreach (var caption in image.PromptCaptions) Line(caption);
            }
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static string Hex(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true, UseStringEnumConverter = true, RespectNullableAnnotations = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(AblationRun))]
[JsonSerializable(typeof(AblationResults))]
internal sealed partial class AblationJson : JsonSerializerContext
{
    /// <summary>Writes a small file; it appears under its name only when complete.</summary>
    public static void Replace(string path, string text)
    {
        File.WriteAllText(path + ".partial", text + "\n");
        File.Move(path + ".partial", path, overwrite: true);
    }
}
