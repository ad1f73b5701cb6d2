using System.Text.Json;
using Plip.Evaluation;

namespace Plip.Tool;

/// <summary>Figures as JSON objects, with the same keys in every command's output. Rates are fractions in [0, 1].</summary>
internal static class ResultJson
{
    public static void Write(Utf8JsonWriter json, string key, RetrievalResult r)
    {
        json.WriteStartObject(key);
        Rates(json, r.R1, r.R5, r.R10, r.Map, r.MapTrap, r.Minp);
        json.WriteNumber("queries", r.Queries);
        json.WriteNumber("gallery", r.Gallery);
        json.WriteNumber("skipped", r.Skipped);
        json.WriteString("protocol", r.Protocol);
        json.WriteEndObject();
    }

    public static void Write(Utf8JsonWriter json, string key, ChanceLevel c)
    {
        json.WriteStartObject(key);
        Rates(json, c.R1, c.R5, c.R10, c.Map, c.MapTrap, c.Minp);
        json.WriteEndObject();
    }

    private static void Rates(Utf8JsonWriter json, double r1, double r5, double r10, double map, double trap, double minp)
    {
        json.WriteNumber("r1", r1);
        json.WriteNumber("r5", r5);
        json.WriteNumber("r10", r10);
        json.WriteNumber("map", map);
        json.WriteNumber("map_trapezoidal", trap);
        json.WriteNumber("minp", minp);
    }
}
