using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Plip.Data;

namespace Plip.Training;

/// <summary>Memory that a run needs and that there is.</summary>
/// <param name="Device">"cpu" or the GPU's name.</param>
/// <param name="StepBytes">Weights, optimiser and a step's tensors, as the device's pool takes them (<see cref="MemoryPlan.ReservedBytes"/>).</param>
/// <param name="DeviceBytes">The device's memory; the machine's, or what its container may use, on the CPU.</param>
/// <param name="HostBytes">The annotations in memory, batches ahead, pictures and blocks that the loader keeps.</param>
/// <param name="MachineBytes">The machine's memory, or what its container may use.</param>
public sealed record MemoryNeed(string Device, long StepBytes, long DeviceBytes, long HostBytes, long MachineBytes)
{
    /// <summary>Whether it fits: on the CPU both parts together.</summary>
    public bool Fits => Device == "cpu" ? StepBytes + HostBytes <= MachineBytes : StepBytes <= DeviceBytes && HostBytes <= MachineBytes;

    /// <summary>What the step may take, so that the rest fits beside it.</summary>
    internal long StepBudget => Device == "cpu" ? MachineBytes - HostBytes : DeviceBytes;
}

/// <summary>Disk that checkpoints need and that is free.</summary>
/// <param name="NeededBytes">Two checkpoints to go on from, one of the best weights, and one of each kind while it is written; without those that are there already.</param>
/// <param name="FreeBytes">Free where the run's folder is.</param>
public sealed record DiskNeed(long NeededBytes, long FreeBytes)
{
    /// <summary>Whether there is room.</summary>
    public bool Fits => NeededBytes <= FreeBytes;
}

/// <summary>How long a run will take, from a few real batches of its data on its device; validation and writing checkpoints come on top.</summary>
/// <param name="Steps">Optimiser steps that are left.</param>
/// <param name="TotalSteps">Optimiser steps of the run.</param>
/// <param name="StepsPerEpoch">Optimiser steps in a pass over the pictures.</param>
/// <param name="BatchSize">Pairs in a batch.</param>
/// <param name="Accumulation">Batches in a step.</param>
/// <param name="MeasuredBatch">Pairs of the batches that were measured; where that is less than <paramref name="BatchSize"/> the time was scaled.</param>
/// <param name="MeasuredSteps">How many were measured, after one that was not.</param>
/// <param name="PairsPerSecond">Pairs that the device gets through a second, the optimiser's part included.</param>
/// <param name="LoadedPerSecond">Pictures that the loader makes ready a second while nothing else runs.</param>
/// <param name="Workers">The loader's threads.</param>
public sealed record TimeEstimate(
    long Steps, long TotalSteps, double StepsPerEpoch, int BatchSize, int Accumulation, int MeasuredBatch, int MeasuredSteps, double PairsPerSecond, double LoadedPerSecond, int Workers)
{
    /// <summary>Passes over the pictures in the whole run.</summary>
    public double Epochs => TotalSteps / StepsPerEpoch;

    /// <summary>Pairs in an optimiser step.</summary>
    public long PairsPerStep => (long)BatchSize * Accumulation;

    /// <summary>The slower of the two, device and loader, sets the pace.</summary>
    public double Seconds => Steps * (double)PairsPerStep / Math.Min(PairsPerSecond, LoadedPerSecond);
}

/// <summary>What a run was found to be before its first step.</summary>
/// <param name="Train">The training pictures.</param>
/// <param name="Validation">The validation pictures; null for none.</param>
/// <param name="Memory">Memory.</param>
/// <param name="Disk">Disk.</param>
/// <param name="Time">Time.</param>
public sealed record StartupReport(QuickCheckReport Train, QuickCheckReport? Validation, MemoryNeed Memory, DiskNeed Disk, TimeEstimate Time)
{
    /// <summary>The report as JSON, indented.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, StartupJson.Default.StartupReport);

    /// <summary>The report as four or five lines for a terminal, ended by '\n'.</summary>
    public string ToText()
    {
        var text = new StringBuilder();
        var decoded = Train.Decoded + (Validation?.Decoded ?? 0);
        Line($"data    {Train.Pictures:#,0} pictures of {Train.Identities:#,0} people, {Train.Captions:#,0} captions and {Train.Prompts:#,0} from attributes; {decoded:#,0} pictures opened and decoded, none broken");
        Line($"memory  {Memory.StepBytes / 1e9:0.00} GB for a batch of {Time.BatchSize} of {Memory.DeviceBytes / 1e9:0.0} GB ({Memory.Device}); {Memory.HostBytes / 1e9:0.00} GB for data and loader{(Memory.Device == "cpu" ? "" : FormattableString.Invariant($" of the machine's {Memory.MachineBytes / 1e9:0.0} GB"))}");
        Line($"disk    {Disk.NeededBytes / 1e9:0.00} GB for checkpoints, {Disk.FreeBytes / 1e9:#,0.0} GB free");
        var accumulated = Time.Accumulation > 1 ? FormattableString.Invariant($" ({Time.Accumulation} x {Time.BatchSize})") : "";
        Line($"steps   {Time.Steps:#,0}{(Time.Steps < Time.TotalSteps ? FormattableString.Invariant($" of {Time.TotalSteps:#,0}") : "")} of {Time.PairsPerStep:#,0} pairs{accumulated}: {Time.Epochs:0.##} epochs of {Time.StepsPerEpoch:#,0.##} steps");
        var scaled = Time.MeasuredBatch < Time.BatchSize ? ", scaled" : "";
        Line($"time    {Duration(Time.Seconds)} at {Math.Min(Time.PairsPerSecond, Time.LoadedPerSecond):#,0.0} images/s: {Time.MeasuredSteps} batch{(Time.MeasuredSteps == 1 ? "" : "es")} of {Time.MeasuredBatch} measured{scaled}; loading gives {Time.LoadedPerSecond:#,0} images/s with {Time.Workers} worker{(Time.Workers == 1 ? "" : "s")}{(Time.LoadedPerSecond < Time.PairsPerSecond ? " and sets the pace: raise training.workers" : "")}");
        return text.ToString();

        void Line(FormattableString line) => text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
    }

    /// <summary>A time in the units one thinks in: "2.1 s", "12 min", "35.2 h", "15 days 4 h".</summary>
    internal static string Duration(double seconds) => seconds switch
    {
        < 120 => FormattableString.Invariant($"{seconds:0.0} s"),
        < 7200 => FormattableString.Invariant($"{seconds / 60:0} min"),
        < 48 * 3600 => FormattableString.Invariant($"{seconds / 3600:0.0} h"),
        _ => FormattableString.Invariant($"{Math.Floor(seconds / 86400):#,0} days {seconds % 86400 / 3600:0} h ({seconds / 3600:#,0} h)"),
    };
}

/// <summary>Serialisation made at build time: no reflection under Native AOT.</summary>
[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(StartupReport))]
internal sealed partial class StartupJson : JsonSerializerContext;
