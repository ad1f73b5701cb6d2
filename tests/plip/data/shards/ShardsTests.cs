using System.Formats.Tar;
using System.Text;
using Plip.Data;
using Xunit;

namespace Plip.Tests.Data;

public sealed class ShardsTests
{
    /// <summary>A SYNTH-PEDES folder, in the order of identities.</summary>
    internal static void SynthPedes(TinyData tiny, int identities, int each = 3, Func<int, string>? split = null)
    {
        var entries = new List<string>();
        for (var i = 0; i < identities; i++)
            for (var n = 0; n < each; n++)
            {
                var path = $"Part{i % 11 + 1}/{i}/{n}.jpg";
                Directory.CreateDirectory(Path.GetDirectoryName(tiny.At(path))!);
                TinyData.Paint(7 * i + n, 16 + i % 5, 40 + n).SaveJpeg(tiny.At(path));
                entries.Add($$"""
                    {"id": {{i}}, "file_path": "{{path}}", "attributes": ["man,black hair,red shirt {{i}},blue jeans,black shoes,unknown"],
                     "captions": ["A man {{i}} in a red shirt.", "He walks past {{n}}."], "prompt_caption": ["The man has black hair."]{{(split == null ? "" : $", \"split\": \"{split(i)}\"")}}}
                    """);
            }
        tiny.Write("synthpedes_dataset.json", TinyData.Json(entries));
    }

    private static void RequireEqual(IReadOnlyList<PersonImage> expected, IReadOnlyList<PersonImage> actual)
    {
        Assert.Equal(expected.Count, actual.Count);
        for (var i = 0; i < expected.Count; i++)
        {
            var (a, b) = (expected[i], actual[i]);
            Assert.Equal((a.RelativePath, a.Identity, a.Attributes, a.Split), (b.RelativePath, b.Identity, b.Attributes, b.Split));
            Assert.Equal(a.Captions, b.Captions);
            Assert.Equal(a.PromptCaptions, b.PromptCaptions);
            Assert.Equal(a.Load().Rgb, b.Load().Rgb);
        }
    }

    [Fact]
    public void A_packed_data_set_is_the_same_data_set()
    {
        using var tiny = new TinyData();
        SynthPedes(tiny, 12, split: i => i < 9 ? "train" : "test");
        var data = PersonDataset.Load(tiny.Root);
        var packed = ShardPacker.Pack(data, tiny.At("shards"), 40_000);
        Assert.Equal(36, packed.Images);
        Assert.InRange(packed.Shards, 2, 12);
        var files = Directory.GetFiles(tiny.At("shards"), "*.tar").Order(StringComparer.Ordinal).ToArray();
        Assert.Equal(packed.Bytes, files.Sum(f => new FileInfo(f).Length));
        Assert.All(files, f => Assert.InRange(new FileInfo(f).Length, 1, 50_240)); // whole records of 10,240

        var shards = PersonDataset.Load(tiny.At("shards"));
        Assert.Equal((DatasetLayout.Shards, "shards"), (shards.Layout, shards.Name));
        RequireEqual(data.Images, shards.Images);
        Assert.Equal(data.Labels, shards.Labels);
        RequireEqual(data.Split("test").Images, shards.Split("test").Images);
        foreach (var person in shards.Images.GroupBy(i => i.Identity)) Assert.Single(person.Select(i => i.Folder).Distinct());
        // One shard alone, too.
        RequireEqual([.. shards.Images.Where(i => i.Folder == files[0])], PersonDataset.Load(files[0]).Images);
        Assert.False(DataCheck.Run(shards).HasErrors);

        // The same bytes again; and nothing is overwritten.
        ShardPacker.Pack(shards, tiny.At("again"), 40_000);
        foreach (var file in files) Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(Path.Combine(tiny.At("again"), Path.GetFileName(file))));
        Assert.Contains("is there already", Assert.Throws<DataException>(() => ShardPacker.Pack(data, tiny.At("shards"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_was_packed_is_a_tar_archive_to_others()
    {
        using var tiny = new TinyData();
        SynthPedes(tiny, 2, each: 1);
        var data = PersonDataset.Load(tiny.Root);
        ShardPacker.Pack(data, tiny.At("shards"));
        using var reader = new TarReader(File.OpenRead(Directory.GetFiles(tiny.At("shards"), "*.tar").Single()));
        var names = new List<string>();
        while (reader.GetNextEntry(copyData: true) is { } entry)
        {
            names.Add(entry.Name);
            var bytes = new byte[entry.Length];
            entry.DataStream!.ReadExactly(bytes);
            if (entry.Name.EndsWith(".jpg", StringComparison.Ordinal)) Assert.Equal(File.ReadAllBytes(data.Images[names.Count / 2].FullPath), bytes);
        }
        Assert.Equal(["000000000.jpg", "000000000.json", "000000001.jpg", "000000001.json"], names);
    }

    [Fact]
    public void An_interrupted_pack_leaves_nothing_that_could_be_taken_for_a_data_set()
    {
        using var tiny = new TinyData();
        SynthPedes(tiny, 4);
        File.Delete(tiny.At("Part3/2/1.jpg"));
        var error = Assert.Throws<DataException>(() => ShardPacker.Pack(PersonDataset.Load(tiny.Root), tiny.At("shards")));
        Assert.Contains("Part3/2/1.jpg", error.Message, StringComparison.Ordinal);
        Assert.Contains("entry 7", error.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetDirectories(tiny.Root, "shards*"));
    }

    private static byte[] Tar(params (string Name, byte[] Data)[] members)
    {
        var stream = new MemoryStream();
        using (var writer = new TarWriter(stream, TarEntryFormat.Pax, leaveOpen: true))
            foreach (var (name, data) in members) writer.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(data) });
        return stream.ToArray();
    }

    private static byte[] Jpeg(TinyData tiny, int number)
    {
        TinyData.Paint(number).SaveJpeg(tiny.At("paint"));
        return File.ReadAllBytes(tiny.At("paint"));
    }

    private static byte[] Json(string text) => Encoding.UTF8.GetBytes(text);

    /// <summary>As other programs write them: keys with folders, PNG, JSON first, no file_path, members of other kinds.</summary>
    [Fact]
    public void Shards_of_other_programs_are_read()
    {
        using var tiny = new TinyData();
        TinyData.Paint(1).SavePng(tiny.At("paint"));
        var png = File.ReadAllBytes(tiny.At("paint"));
        File.WriteAllBytes(tiny.At("b.tar"), Tar(
            ("./x/one.json", Json("""{"id": 5, "captions": ["A man."], "other": {"a": [1]}}""")), ("./x/one.png", png), ("./x/one.cls", [1]),
            ("x/two.JPG", Jpeg(tiny, 2)), ("x/two.json", Json("""{"id": 5, "captions": "A man.", "attributes": ["man,unknown"], "split": "train"}"""))));
        File.WriteAllBytes(tiny.At("a.tar"), Tar(("0.jpg", Jpeg(tiny, 3)), ("0.json", Json("""{"id": 9, "captions": ["Une dame à écharpe."], "prompt_caption": ["p"]}"""))));
        var data = PersonDataset.Load(tiny.Root);
        Assert.Equal(["0.jpg", "x/one.png", "x/two.JPG"], data.Images.Select(i => i.RelativePath));
        Assert.Equal([9, 5, 5], data.Images.Select(i => i.Identity));
        Assert.Equal([0, 0, 1], data.Images.Select(i => i.Entry));
        Assert.Equal("Une dame à écharpe.", data.Images[0].Captions.Single());
        Assert.Equal(("man,unknown", "train"), (data.Images[2].Attributes, data.Images[2].Split));
        Assert.Equal(TinyData.Paint(1).Rgb, data.Images[1].Load().Rgb);
        Assert.Contains("1 members of the shards are neither", Assert.Single(data.Notes), StringComparison.Ordinal);
        Assert.Same(data.Images[1].Captions, data.Images[2].Captions); // kept once
        Assert.Equal(data.Notes, PersonDataset.Load(tiny.Root).Notes); // out of the index
    }

    [Theory]
    [InlineData("0.json", "", "member 0.jpg, byte ", "the picture has no annotation")]
    [InlineData("0.jpg", "", "member 0.json, byte ", "the annotation has no picture")]
    [InlineData("", "{\"id\": 1}", "member 0.json, byte ", "no \"captions\"")]
    [InlineData("", "{\"id\": -1, \"captions\": []}", "member 0.json, byte ", "\"id\" is -1")]
    [InlineData("", "{\"id\": 1, \"captions\": [3]}", "member 0.json, byte ", "\"captions\" holds 3")]
    [InlineData("", "{\"id\": 1, ", "member 0.json, byte ", "the JSON is broken")]
    [InlineData("", "[]", "member 0.json, byte ", "found")]
    [InlineData("", "{\"id\": 1, \"captions\": [], \"file_path\": \"../x\"}", "member 0.json, byte ", "\"file_path\" is \"../x\"")]
    public void Faults_name_shard_member_and_byte(string missing, string json, string place, string found)
    {
        using var tiny = new TinyData();
        (string Name, byte[] Data)[] members = [("0.jpg", Jpeg(tiny, 1)), ("0.json", Json(json.Length > 0 ? json : """{"id": 1, "captions": ["A man."]}""")), ("1.jpg", Jpeg(tiny, 2)), ("1.json", Json("""{"id": 1, "captions": ["A man."]}"""))];
        File.WriteAllBytes(tiny.At("x.tar"), Tar([.. members.Where(m => m.Name != missing)]));
        var error = Assert.Throws<DataException>(() => PersonDataset.Load(tiny.Root));
        Assert.Equal(tiny.At("x.tar"), error.File);
        Assert.StartsWith(place, error.Place, StringComparison.Ordinal);
        Assert.Contains(found, error.Found, StringComparison.Ordinal);
        Assert.False(File.Exists(tiny.At("shards.index")));
        // The byte is where the fault stands.
        if (json.Contains("-1", StringComparison.Ordinal)) Assert.Equal((byte)'-', File.ReadAllBytes(tiny.At("x.tar"))[int.Parse(error.Place!.Split("byte ")[1], System.Globalization.CultureInfo.InvariantCulture)]);
    }

    [Fact]
    public void A_broken_picture_names_shard_member_byte_and_entry()
    {
        using var tiny = new TinyData();
        var jpeg = Jpeg(tiny, 1);
        File.WriteAllBytes(tiny.At("x.tar"), Tar(("0.jpg", jpeg[..(jpeg.Length / 2)]), ("0.json", Json("""{"id": 4, "captions": ["A man."]}"""))));
        var data = PersonDataset.Load(tiny.Root);
        var error = Assert.Throws<DataException>(() => data.Images[0].Load());
        Assert.Equal((tiny.At("x.tar"), $"member 0.jpg, byte {data.Images[0].Offset}"), (error.File, error.Place));
        var report = DataCheck.Run(data);
        Assert.Contains("member 0.jpg", Assert.Single(report.Findings.Single(f => f.Kind.StartsWith("missing", StringComparison.Ordinal)).Cases), StringComparison.Ordinal);
        var quick = Assert.Throws<DataException>(() => QuickCheck.Run(data));
        Assert.Contains("entry 0 of " + tiny.At("x.tar") + ", identity 4", quick.Place!, StringComparison.Ordinal);
        Assert.Contains("1 of 1", quick.Found, StringComparison.Ordinal);
    }

    [Fact]
    public void Duplicate_members_are_refused()
    {
        using var tiny = new TinyData();
        File.WriteAllBytes(tiny.At("x.tar"), Tar(("0.jpg", Jpeg(tiny, 1)), ("0.png", Jpeg(tiny, 1)), ("0.json", Json("""{"id": 4, "captions": ["A man."]}"""))));
        Assert.Contains("another such member", Assert.Throws<DataException>(() => PersonDataset.Load(tiny.Root)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_without_shards_or_annotations_says_what_would_do()
    {
        using var tiny = new TinyData();
        Assert.Contains("shards ending in .tar", Assert.Throws<DataException>(() => PersonDataset.Load(tiny.Root)).Message, StringComparison.Ordinal);
        Assert.Contains("there are no shards", Assert.Throws<DataException>(() => PersonDataset.Load(tiny.Root, DatasetLayout.Shards)).Message, StringComparison.Ordinal);
        Assert.Contains("no such file or folder", Assert.Throws<DataException>(() => PersonDataset.Load(tiny.At("gone.tar"), DatasetLayout.Shards)).Message, StringComparison.Ordinal);
    }
}
