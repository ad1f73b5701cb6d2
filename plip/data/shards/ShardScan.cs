using System.Text.Json;

namespace Plip.Data;

/// <summary>
/// Finds the pictures of a shard: members KEY.jpg (or .jpeg, .png, .webp, .bmp, .gif) with KEY.json beside them, in either
/// order. Headers and the JSON are read, pictures are not.
/// </summary>
internal sealed class ShardScan(Shard shard) : EntryReader(shard.Path, ShardFormat)
{
    private const int LongestJson = 16 << 20;

    private static readonly AnnotationFormat ShardFormat = new(DatasetLayout.Shards, "*.tar", "file_path", HasSplits: false, NeedsPath: false);
    private static readonly string[] Pictures = [".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"];

    private readonly List<PersonImage> images = [];
    private readonly SharedTexts shared = new();
    private TarMember json;
    private int others;

    /// <summary>The pictures of the shard in the order of the archive, and how many members are of other kinds.</summary>
    /// <exception cref="DataException">The archive is damaged, or a picture lacks its JSON or the other way round.</exception>
    internal (List<PersonImage> Images, int Others) Read()
    {
        var members = new TarMembers(shard);
        string? key = null;
        TarMember? picture = null;
        Entry? entry = null;
        while (members.Next(out var member))
        {
            // WebDataset's key ends at the first dot of the last part of the path.
            var slash = member.Name.LastIndexOf('/');
            var dot = member.Name.IndexOf('.', slash + 1);
            var (own, kind) = dot < 0 ? (member.Name, "") : (member.Name[..dot], member.Name[dot..].ToLowerInvariant());
            if (own != key)
            {
                End(members, key, picture, entry);
                (key, picture, entry) = (own, null, null);
            }
            if (kind == ".json")
            {
                if (entry != null) throw Twice(member);
                entry = Parse(members, member);
            }
            else if (Pictures.Contains(kind, StringComparer.Ordinal))
            {
                if (picture != null) throw Twice(member);
                if (member.Length is 0 or > int.MaxValue - TarHeader.Block)
                    throw Wrong(member, FormattableString.Invariant($"the picture has {member.Length} bytes"), "a JPEG, PNG or WebP file below 2 GB");
                picture = member;
            }
            else
            {
                others++;
            }
        }
        End(members, key, picture, entry);
        if (images.Count == 0) throw new DataException(shard.Path, null, "the archive holds no pictures", "members KEY.jpg with KEY.json beside them");
        return (images, others);

        DataException Twice(in TarMember member) => Wrong(member, "there is another such member of this key before it", "one picture and one .json for each key, side by side");
    }

    private void End(TarMembers members, string? key, TarMember? picture, Entry? entry)
    {
        if (picture is { } p && entry is { } e)
        {
            images.Add(new PersonImage(shard.Path, e.Path ?? p.Name, e.Identity, shared.Captions(e.Captions), shared.Prompts(e.Prompts), shared.Attributes(e.Attributes), e.Split, images.Count)
            {
                Shard = shard,
                Offset = p.Offset,
                Length = (int)p.Length,
            });
        }
        else if (picture is { } alone)
        {
            throw Wrong(alone, "the picture has no annotation", $"a member {key}.json next to it");
        }
        else if (entry != null)
        {
            throw Wrong(json, "the annotation has no picture", $"a member {key}.jpg (or .png, .webp) next to it");
        }
    }

    private Entry Parse(TarMembers members, in TarMember member)
    {
        json = member;
        if (member.Length > LongestJson) throw Wrong(member, FormattableString.Invariant($"the annotation has {member.Length} bytes"), FormattableString.Invariant($"at most {LongestJson}"));
        var bytes = members.Data(member);
        try
        {
            var reader = new Utf8JsonReader(bytes.StartsWith("\uFEFF"u8) ? bytes[3..] : bytes);
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) throw Wrong(member, $"found {Name(reader.TokenType)}", "an entry: {\"id\": 1, …}");
            if (!TryEntry(ref reader, out var entry) || reader.Read()) throw Wrong(member, "the JSON is broken", "one object and nothing behind it");
            return entry;
        }
        catch (JsonException e)
        {
            throw Wrong(member, "the JSON is broken: " + e.Message.Split(" LineNumber:")[0].TrimEnd('.'), "well-formed JSON", e);
        }
    }

    protected override DataException Wrong(long position, string found, string expected, Exception? inner = null) =>
        new(shard.Path, FormattableString.Invariant($"member {json.Name}, byte {json.Offset + position}"), found, expected, inner);

    private DataException Wrong(in TarMember member, string found, string expected, Exception? inner = null) =>
        new(shard.Path, FormattableString.Invariant($"member {member.Name}, byte {member.Offset}"), found, expected, inner);
}

/// <summary>Pictures that follow each other often are of one person and share texts: equal ones are kept once, which costs a comparison each.</summary>
internal sealed class SharedTexts
{
    private string[] captions = [], prompts = [];
    private string? attributes;

    internal string[] Captions(string[] texts) => captions = Share(captions, texts);

    internal string[] Prompts(string[] texts) => prompts = Share(prompts, texts);

    internal string? Attributes(string? text) => attributes = attributes == text ? attributes : text;

    private static string[] Share(string[] before, string[] texts)
    {
        if (before.AsSpan().SequenceEqual(texts)) return before;
        for (var i = 0; i < texts.Length && i < before.Length; i++)
            if (texts[i] == before[i]) texts[i] = before[i];
        return texts;
    }
}
