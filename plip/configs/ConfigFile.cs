using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace Plip.Configs;

/// <summary>A configuration that cannot be used; the message names the key, what it holds and what it may hold.</summary>
public sealed class ConfigException(string message, Exception? inner = null) : Exception(message, inner)
{
    internal static void Require(bool condition, string key, object value, string expected)
    {
        if (!condition)
            throw new ConfigException(string.Create(CultureInfo.InvariantCulture, $"{key} is {value}; expected {expected}"));
    }
}

/// <summary>Reads and writes <see cref="PlipConfig"/> as JSON. Unknown keys fail and name the nearest known one.</summary>
public static class ConfigFile
{
    /// <summary>Names of the configurations that come with the program.</summary>
    public static IReadOnlyList<string> BuiltIn { get; } =
        [.. typeof(ConfigFile).Assembly.GetManifestResourceNames().Where(n => n.EndsWith(".json", StringComparison.Ordinal)).Select(n => n[..^5]).Order(StringComparer.Ordinal)];

    /// <summary>
    /// A built-in configuration by name ("plip-tiny"), or a JSON file by path. "configs/plip-tiny.json" is the built-in one where there is
    /// no such file: so the configurations are named in texts. Another path that leads nowhere is an error, even if its last part is a
    /// built-in's name: whoever wrote it meant a file of their own.
    /// </summary>
    /// <exception cref="ConfigException">Neither, or unusable: says where and what was expected.</exception>
    public static PlipConfig Load(string nameOrPath)
    {
        if (File.Exists(nameOrPath) && !BuiltIn.Contains(nameOrPath, StringComparer.Ordinal)) return Parse(File.ReadAllText(nameOrPath), nameOrPath);
        var name = nameOrPath.Replace('\\', '/') is var path && path.StartsWith(Folder, StringComparison.Ordinal) && path.EndsWith(Ending, StringComparison.Ordinal) && path.Length > Folder.Length + Ending.Length
            ? path[Folder.Length..^Ending.Length]
            : nameOrPath;
        if (BuiltIn.Contains(name, StringComparer.Ordinal))
        {
            using var stream = typeof(ConfigFile).Assembly.GetManifestResourceStream(name + Ending)!;
            using var reader = new StreamReader(stream);
            return Parse(reader.ReadToEnd(), name);
        }
        var alike = BuiltIn.FirstOrDefault(b => Path.GetFileName(nameOrPath) == b + Ending);
        throw new ConfigException($"no configuration \"{nameOrPath}\": it is neither a file nor one of {string.Join(", ", BuiltIn)}{(alike == null ? "" : $"; {alike} without folder and ending is the one that comes with the program")}");
    }

    private const string Folder = "configs/", Ending = ".json";

    /// <summary>A configuration from JSON text; <paramref name="source"/> is named in errors.</summary>
    /// <exception cref="ConfigException">Broken JSON, an unknown key, a value out of range.</exception>
    public static PlipConfig Parse(string json, string source)
    {
        try
        {
            using (var document = JsonDocument.Parse(json, new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true }))
                CheckKeys(document.RootElement, ConfigJson.Default.PlipConfig, "", source);
            var config = JsonSerializer.Deserialize(json, ConfigJson.Default.PlipConfig) ?? throw new ConfigException($"{source}: holds null");
            config.Validate();
            return config;
        }
        catch (JsonException e)
        {
            var place = e.LineNumber is { } line ? string.Create(CultureInfo.InvariantCulture, $", line {line + 1}") : "";
            throw new ConfigException($"{source}{place}{(string.IsNullOrEmpty(e.Path) || e.Path == "$" ? "" : $", at {e.Path}")}: {e.Message}", e);
        }
        catch (ConfigException e) when (!e.Message.StartsWith(source, StringComparison.Ordinal))
        {
            throw new ConfigException($"{source}: {e.Message}", e);
        }
    }

    /// <summary>The configuration as indented JSON; <see cref="Parse"/> reads it back to an equal one.</summary>
    public static string ToJson(PlipConfig config) => JsonSerializer.Serialize(config, ConfigJson.Default.PlipConfig);

    private static void CheckKeys(JsonElement element, JsonTypeInfo type, string path, string source)
    {
        if (element.ValueKind != JsonValueKind.Object || type.Kind != JsonTypeInfoKind.Object) return;
        string? discriminator = null;
        if (type.PolymorphismOptions is { } options)
        {
            discriminator = options.TypeDiscriminatorPropertyName;
            var names = options.DerivedTypes.Select(t => (string)t.TypeDiscriminator!).ToArray();
            var chosen = element.TryGetProperty(options.TypeDiscriminatorPropertyName, out var given) && given.ValueKind == JsonValueKind.String ? given.GetString() : null;
            var derived = options.DerivedTypes.FirstOrDefault(t => (string)t.TypeDiscriminator! == chosen);
            if (derived.DerivedType == null)
                throw new ConfigException($"{source}: {path}{options.TypeDiscriminatorPropertyName} is {(chosen == null ? "missing" : $"\"{chosen}\"")}; expected one of {string.Join(", ", names)}");
            type = ConfigJson.Default.GetTypeInfo(derived.DerivedType)!;
        }
        foreach (var property in element.EnumerateObject())
        {
            if (property.Name == discriminator) continue;
            var known = type.Properties.FirstOrDefault(p => p.Name == property.Name);
            if (known == null)
                throw new ConfigException($"{source}: unknown key \"{path}{property.Name}\"; did you mean \"{path}{Nearest(property.Name, type.Properties.Select(p => p.Name))}\"?");
            if (known.PropertyType.IsEnum && !Enum.GetNames(known.PropertyType).Contains(property.Value.ToString(), StringComparer.OrdinalIgnoreCase))
                throw new ConfigException($"{source}: {path}{property.Name} is {property.Value.GetRawText()}; expected one of {string.Join(", ", Enum.GetNames(known.PropertyType))}");
            CheckKeys(property.Value, ConfigJson.Default.GetTypeInfo(known.PropertyType) ?? type, $"{path}{property.Name}.", source);
        }
    }

    /// <summary>The candidate with the fewest edits (Levenshtein), case ignored.</summary>
    internal static string Nearest(string name, IEnumerable<string> candidates) =>
        candidates.MinBy(c => Edits(name.ToLowerInvariant(), c.ToLowerInvariant()))!;

    private static int Edits(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var corner = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var next = Math.Min(Math.Min(row[j], row[j - 1]) + 1, corner + (a[i - 1] == b[j - 1] ? 0 : 1));
                corner = row[j];
                row[j] = next;
            }
        }
        return row[^1];
    }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    WriteIndented = true,
    RespectNullableAnnotations = true,
    AllowOutOfOrderMetadataProperties = true,
    AllowTrailingCommas = true,
    UseStringEnumConverter = true,
    ReadCommentHandling = JsonCommentHandling.Skip)]
[JsonSerializable(typeof(PlipConfig))]
internal sealed partial class ConfigJson : JsonSerializerContext;
