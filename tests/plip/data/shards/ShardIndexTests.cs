using System.Text;
using Plip.Data;
using Plip.Tests.Engine;
using Xunit;

namespace Plip.Tests.Data;

/// <summary>The index is read where it is right, made anew where it is not, and never believed when it is damaged.</summary>
public sealed class ShardIndexTests
{
    private static string[] Summary(PersonDataset data) =>
        [.. data.Images.Select(i => $"{i.Folder} {i.RelativePath} {i.Identity} {i.Offset} {i.Length} {i.Entry} {i.Split} {i.Attributes} {string.Join('|', i.Captions)} {string.Join('|', i.PromptCaptions)}")];

    private static TinyData Packed(int identities = 8)
    {
        var tiny = new TinyData();
        ShardsTests.SynthPedes(tiny, identities, split: i => i % 2 == 0 ? "train" : "test");
        ShardPacker.Pack(PersonDataset.Load(tiny.Root), tiny.At("s"), 20_480);
        return tiny;
    }

    [Fact]
    public void The_second_time_comes_from_the_index_and_is_the_same()
    {
        using var tiny = Packed();
        var first = Summary(PersonDataset.Load(tiny.At("s")));
        var index = tiny.At("s/shards.index");
        var written = File.GetLastWriteTimeUtc(index);
        // The second time no shard is looked into: with their names, sizes and times kept, zeros in them go unnoticed until a picture is asked for.
        foreach (var shard in Directory.GetFiles(tiny.At("s"), "*.tar"))
        {
            var time = File.GetLastWriteTimeUtc(shard);
            File.WriteAllBytes(shard, new byte[new FileInfo(shard).Length]);
            File.SetLastWriteTimeUtc(shard, time);
        }
        var again = PersonDataset.Load(tiny.At("s"));
        Assert.Equal(first, Summary(again));
        Assert.Equal(written, File.GetLastWriteTimeUtc(index));
        var error = Assert.Throws<DataException>(() => again.Images[3].Load());
        Assert.Contains("there is no member", error.Message, StringComparison.Ordinal);
        Assert.Contains("shards.index", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void New_changed_and_removed_shards_are_noticed()
    {
        using var tiny = Packed();
        var all = PersonDataset.Load(tiny.At("s"));
        var shards = Directory.GetFiles(tiny.At("s"), "*.tar").Order(StringComparer.Ordinal).ToArray();
        Assert.True(shards.Length >= 3);
        // One less.
        File.Move(shards[1], tiny.At("away"));
        Assert.Equal(Summary(all).Where(s => !s.StartsWith(shards[1], StringComparison.Ordinal)), Summary(PersonDataset.Load(tiny.At("s"))));
        // Back again, and another in the place of the first.
        File.Move(tiny.At("away"), shards[1]);
        Assert.Equal(Summary(all), Summary(PersonDataset.Load(tiny.At("s"))));
        var last = File.ReadAllBytes(shards[^1]);
        File.WriteAllBytes(shards[0], last);
        var changed = PersonDataset.Load(tiny.At("s"));
        Assert.Equal(all.Images.Where(i => i.Folder == shards[^1]).Select(i => i.RelativePath), changed.Images.Where(i => i.Folder == shards[0]).Select(i => i.RelativePath));
        foreach (var image in changed.Images) image.Load();
    }

    [Fact]
    public void A_damaged_index_is_made_anew()
    {
        using var tiny = Packed(4);
        var expected = Summary(PersonDataset.Load(tiny.At("s")));
        var index = tiny.At("s/shards.index");
        var whole = File.ReadAllBytes(index);
        for (uint i = 0; i < 150; i++)
        {
            File.WriteAllBytes(index, Mutation.Of(whole, i));
            Assert.Equal(expected, Summary(PersonDataset.Load(tiny.At("s"))));
            Assert.Equal(whole, File.ReadAllBytes(index));
        }
        File.WriteAllBytes(index, [.. whole.AsSpan(0, 8), 99, .. whole.AsSpan(9)]); // another version
        Assert.Equal(expected, Summary(PersonDataset.Load(tiny.At("s"))));
        File.Delete(index);
        Directory.CreateDirectory(index); // cannot be read, nor written
        var data = PersonDataset.Load(tiny.At("s"));
        Assert.Equal(expected, Summary(data));
        File.Delete(ShardIndex.Cached(tiny.At("s"))); // where it went instead
    }

    [Fact]
    public void An_index_of_one_shard_stands_beside_it()
    {
        using var tiny = Packed(4);
        var shard = Directory.GetFiles(tiny.At("s"), "*.tar")[0];
        var first = Summary(PersonDataset.Load(shard));
        Assert.True(File.Exists(shard + ".index"));
        Assert.Equal(first, Summary(PersonDataset.Load(shard)));
        Assert.Single(Directory.GetFiles(tiny.At("s"), "*.index"));
    }

    /// <summary>Nearly all of an entry is its texts, and of those that an identity's pictures share shards keep one.</summary>
    [Fact]
    public void An_entry_costs_no_more_memory_than_from_a_file()
    {
        const int Identities = 400, Each = 15;
        using var tiny = new TinyData();
        string[] colours = ["red", "dark blue", "black", "light grey", "white", "green"];
        string[] garments = ["long sleeved shirt", "jacket with a hood", "pair of trousers", "backpack", "woollen coat"];
        string Sentence(int i) => $"A young {(i % 2 == 0 ? "man" : "woman")} number {i} is wearing a {colours[i % 6]} {garments[i % 5]} and carries a {colours[i % 5]} bag.";
        var entries = Enumerable.Range(0, Identities * Each).Select(i => $$"""
            {"id": {{i / Each}}, "file_path": "Part{{i % 11 + 1}}/{{i / Each}}/{{i % Each}}.jpg", "attributes": ["man,short black hair,{{colours[i / Each % 6]}} shirt,blue jeans,black shoes,unknown"],
             "captions": ["{{Sentence(i)}}", "{{Sentence(i + 7)}}"], "prompt_caption": ["{{Sentence(i + 3)}}"]}
            """).ToArray();
        tiny.Write("synthpedes_dataset.json", TinyData.Json(entries));
        Directory.CreateDirectory(tiny.At("s"));
        using (var shard = new FileStream(tiny.At("s/0.tar"), FileMode.Create))
        {
            for (var i = 0; i < entries.Length; i++)
                foreach (var (name, bytes) in new[] { ($"{i}.jpg", "x"u8.ToArray()), ($"{i}.json", Encoding.UTF8.GetBytes(entries[i])) })
                {
                    var member = new byte[TarHeader.Block + TarHeader.Padded(bytes.Length)];
                    TarHeader.Write(member.AsSpan(0, TarHeader.Block), name, bytes.Length);
                    bytes.CopyTo(member, TarHeader.Block);
                    shard.Write(member);
                }
            shard.Write(new byte[1024]);
        }
        var scanned = PersonDataset.Load(tiny.At("s"));
        var indexed = PersonDataset.Load(tiny.At("s"));
        var (file, first, second) = (PerEntry(PersonDataset.Load(tiny.Root, DatasetLayout.SynthPedes)), PerEntry(scanned), PerEntry(indexed));
        Assert.Equal(entries.Length, scanned.Images.Count);
        Assert.True(first <= file, FormattableString.Invariant($"{first:0} bytes an entry from shards, {file:0} from the file"));
        Assert.Equal(first, second);
        Assert.InRange(new FileInfo(tiny.At("s/shards.index")).Length / (double)entries.Length, 100, 350);

        // What the entries hold, counted object by object on a 64-bit machine: the collector's own figures have other threads' garbage in them.
        static double PerEntry(PersonDataset data)
        {
            var seen = new HashSet<object>(ReferenceEqualityComparer.Instance);
            long Text(string? text) => text != null && seen.Add(text) ? (22 + 2 * text.Length + 7) / 8 * 8 : 0;
            long Texts(string[] texts) => seen.Add(texts) ? 24 + 8 * texts.Length + texts.Sum(Text) : 0;
            var bytes = data.Images.Sum(i => 96 + Text(i.Folder) + Text(i.RelativePath) + Text(i.Attributes) + Text(i.Split) + Texts(i.Captions) + Texts(i.PromptCaptions));
            return (double)bytes / data.Images.Count;
        }
    }
}
