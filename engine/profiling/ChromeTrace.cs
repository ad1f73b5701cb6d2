using System.Text.Json;

namespace Plip.Engine;

/// <summary>
/// Writes a profile in the Trace Event Format (a JSON array), which Perfetto (ui.perfetto.dev) and chrome://tracing open: one
/// line for the launching thread with phases, ops and kernels inside each other, and a curve of the memory in use.
/// </summary>
public static class ChromeTrace
{
    /// <summary>Writes the trace; the stream stays open.</summary>
    /// <param name="stream">Where to.</param>
    /// <param name="profile">What was recorded.</param>
    public static void Write(Stream stream, Profile profile)
    {
        using var json = new Utf8JsonWriter(stream);
        json.WriteStartArray();
        Metadata(json, "process_name", "PLIP.Native");
        Metadata(json, "thread_name", $"{profile.Device}: launching thread");
        long memory = -1;
        foreach (var e in profile.Events)
        {
            if (e.MemoryInUse != memory) Memory(json, e.Start, memory = e.MemoryInUse);
            Complete(json, e);
        }
        json.WriteEndArray();
    }

    private static void Complete(Utf8JsonWriter json, ProfileEvent e)
    {
        Begin(json, "X", e.Name, e.Start);
        json.WriteString("cat", Category(e.Kind));
        json.WriteNumber("dur", e.Duration / 1000m);
        if (e.Bytes > 0 || e.Flops > 0)
        {
            json.WriteStartObject("args");
            json.WriteNumber("bytes", e.Bytes);
            json.WriteNumber("flops", e.Flops);
            if (e.Self > 0)
            {
                json.WriteNumber("GFLOP/s", Math.Round(e.Flops / e.Self, 2));
                json.WriteNumber("GB/s", Math.Round((double)e.Bytes / e.Self, 2));
            }
            json.WriteEndObject();
        }
        json.WriteEndObject();
    }

    private static void Memory(Utf8JsonWriter json, long at, long bytes)
    {
        Begin(json, "C", "memory in use", at);
        json.WriteStartObject("args");
        json.WriteNumber("MB", bytes / 1_000_000m);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void Metadata(Utf8JsonWriter json, string name, string value)
    {
        Begin(json, "M", name, 0);
        json.WriteStartObject("args");
        json.WriteString("name", value);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    /// <summary>Microseconds as decimals: a nanosecond is not lost to binary fractions, so what nests still nests when read.</summary>
    private static void Begin(Utf8JsonWriter json, string type, string name, long at)
    {
        json.WriteStartObject();
        json.WriteString("ph", type);
        json.WriteString("name", name);
        json.WriteNumber("ts", at / 1000m);
        json.WriteNumber("pid", 1);
        json.WriteNumber("tid", 1);
    }

    private static string Category(ProfileKind kind) => kind switch
    {
        ProfileKind.Phase => "phase",
        ProfileKind.Op => "op",
        ProfileKind.Kernel => "kernel",
        _ => "transfer",
    };
}
