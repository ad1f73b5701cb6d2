using System.Text;
using Plip.Data;
using Xunit;

namespace Plip.Tests.Data;

public class PersonDatasetTests
{
    [Fact]
    public void Reads_cuhk_pedes_with_splits()
    {
        using var tiny = new TinyData().WithCuhkPedes(5);
        var data = PersonDataset.Load(tiny.Root);
        Assert.Equal(DatasetLayout.CuhkPedes, data.Layout);
        Assert.Equal(2 + 3 + 4 + 2 + 3, data.Images.Count);
        Assert.Equal(["test", "train"], data.SplitNames);
        var train = data.Split("train");
        Assert.Equal(11, train.Images.Count);
        Assert.Equal([0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3], train.Labels);
        Assert.Equal([10, 20, 30, 40], train.Identities);
        var image = train.Images[3];
        Assert.Equal((20, "p1/1.jpg", 3, "train", (string?)null), (image.Identity, image.RelativePath, image.Entry, image.Split, image.Attributes));
        Assert.Equal(["a person in coat 1", "picture 1 of walker 1 with a bag"], image.Captions);
        Assert.True(File.Exists(image.FullPath));
    }

    [Theory]
    [InlineData("synthpedes_dataset.json")]
    [InlineData("synthpedes-dataset.json")]
    public void Reads_synth_pedes(string name)
    {
        using var tiny = new TinyData();
        tiny.Write(name, """
            [{"id": 7, "file_path": "Part1/7/1.jpg", "attributes": ["man,black hair,black shirt,pink shorts,black shoes,unknown"],
              "captions": ["A man.", "He walks."], "prompt_caption": ["The man has black hair."]},
             {"id": 9, "file_path": "Part1/9/1.jpg", "attributes": [], "captions": ["Une dame à \u00e9charpe."]}]
            """);
        var data = PersonDataset.Load(tiny.Root);
        Assert.Equal((DatasetLayout.SynthPedes, 2), (data.Layout, data.Images.Count));
        var image = data.Images[0];
        Assert.Equal("man,black hair,black shirt,pink shorts,black shoes,unknown", image.Attributes);
        Assert.Equal((3, "He walks.", "The man has black hair."), (image.TextCount, image.Text(1), image.Text(2)));
        Assert.Equal(Path.Combine(tiny.Root, "Part1/7/1.jpg"), image.FullPath);
        Assert.Equal("Une dame à écharpe.", data.Images[1].Captions[0]);
        Assert.Null(data.Images[1].Attributes);
        Assert.Empty(data.Images[1].PromptCaptions);
        var error = Assert.Throws<DataException>(() => data.Split("train"));
        Assert.Contains("no split \"train\"", error.Message);
        Assert.Contains("split file", error.Message);
    }

    [Theory]
    [InlineData("ICFG-PEDES.json")]
    [InlineData("ICFG_PEDES.json")]
    public void Icfg_pedes_has_no_validation_set(string name)
    {
        using var tiny = new TinyData();
        tiny.Write(name, TinyData.Json([TinyData.Entry(1, "train/0000/a.jpg", "train", "x"), TinyData.Entry(2, "test/b.jpg", "test", "y")]));
        var data = PersonDataset.Load(tiny.Root);
        Assert.Equal((DatasetLayout.IcfgPedes, 1), (data.Layout, data.Split("test").Images.Count));
        Assert.Contains("no validation set", Assert.Throws<DataException>(() => data.Split("val")).Message);
    }

    [Fact]
    public void Rstp_reid_notes_a_split_that_is_not_the_published_one()
    {
        using var tiny = new TinyData();
        string Entry(int id, string split) => $"{{\"id\": {id}, \"img_path\": \"{id}.jpg\", \"captions\": [\"x\"], \"split\": \"{split}\"}}";
        tiny.Write("data_captions.json", TinyData.Json([Entry(0, "train"), Entry(1, "val"), Entry(2, "test")]));
        var data = PersonDataset.Load(tiny.Root);
        Assert.Equal((DatasetLayout.RstpReid, 3), (data.Layout, data.Images.Count));
        Assert.Contains("3701/200/200", Assert.Single(data.Notes));
        Assert.Contains("1/1/1", data.Notes[0]);
        tiny.Write("data_captions.json", TinyData.Json(Enumerable.Range(0, 4101).Select(i => Entry(i, i < 3701 ? "train" : i < 3901 ? "val" : "test"))));
        Assert.Empty(PersonDataset.Load(tiny.Root).Notes);
    }

    [Fact]
    public void Caption_all_asks_for_a_split_file_and_uses_it()
    {
        using var tiny = new TinyData();
        tiny.Write("caption_all.json", """[{"id": 1, "file_path": "a.png", "captions": ["x"]}, {"id": 2, "file_path": "b.png", "captions": ["y"]}]""");
        var missing = Assert.Throws<DataException>(() => PersonDataset.Load(tiny.Root));
        Assert.EndsWith("caption_all.json", missing.File);
        Assert.Contains("{\"train\":[identities]", missing.Expected);

        var split = tiny.Write("split.json", """{"train": [1], "val": [], "test": [2]}""");
        var test = PersonDataset.Load(tiny.Root, splitFile: split, split: "test");
        Assert.Equal(2, Assert.Single(test.Images).Identity);

        tiny.Write("split.json", """{"train": [1], "test": [3]}""");
        var unlisted = Assert.Throws<DataException>(() => PersonDataset.Load(tiny.Root, splitFile: split));
        Assert.Contains("identity 2 (entry 1", unlisted.Message);
        tiny.Write("split.json", """{"train": [1, 2], "test": [2]}""");
        Assert.Contains("identity 2 is also in \"train\"", Assert.Throws<DataException>(() => PersonDataset.Load(tiny.Root, splitFile: split)).Message);
        tiny.Write("split.json", """{"train": [1, ], "test": "2"}""");
        Assert.Contains("line 1", Assert.Throws<DataException>(() => PersonDataset.Load(tiny.Root, splitFile: split)).Message);
        Assert.Contains("nowhere.json", Assert.Throws<DataException>(() => PersonDataset.Load(tiny.Root, splitFile: tiny.At("nowhere.json"))).Message);
    }

    [Fact]
    public void Of_two_layouts_evaluation_takes_the_one_with_splits_and_training_the_one_with_attributes()
    {
        using var tiny = new TinyData().WithCuhkPedes(2);
        tiny.Write("synthpedes_dataset.json", """[{"id": 1, "file_path": "p0/0.jpg", "attributes": ["a"], "captions": ["x"]}]""");
        Assert.Equal(DatasetLayout.SynthPedes, PersonDataset.Load(tiny.Root).Layout);
        Assert.Equal(DatasetLayout.CuhkPedes, PersonDataset.Load(tiny.Root, split: "test").Layout);
        Assert.Equal(DatasetLayout.CuhkPedes, PersonDataset.Load(tiny.Root, DatasetLayout.CuhkPedes).Layout);
        Assert.Contains("data_captions.json", Assert.Throws<DataException>(() => PersonDataset.Load(tiny.Root, DatasetLayout.RstpReid)).Message);
        // The pictures lie in imgs/ for either layout.
        Assert.True(File.Exists(PersonDataset.Load(tiny.Root).Images[0].FullPath));
    }

    [Fact]
    public void A_folder_without_annotations_names_what_was_looked_for()
    {
        using var tiny = new TinyData();
        var error = Assert.Throws<DataException>(() => PersonDataset.Load(tiny.Root));
        foreach (var name in new[] { "synthpedes_dataset.json", "reid_raw.json", "caption_all.json", "ICFG-PEDES.json", "data_captions.json" })
            Assert.Contains(name, error.Message);
        Assert.Contains("no such folder", Assert.Throws<DataException>(() => PersonDataset.Load(tiny.At("nowhere"))).Message);
    }

    [Fact]
    public void Streams_a_file_of_many_buffers_with_entries_of_any_length_and_a_byte_order_mark()
    {
        using var tiny = new TinyData();
        // Lengths without a common period, so that buffer ends fall into every kind of token; one entry exceeds the buffer.
        var captions = Enumerable.Range(0, 4000).Select(i => i == 2500 ? new string('w', 3_000_000) : $"caption {i} \"é\" " + new string('x', i * 7919 % 1999)).ToArray();
        var json = TinyData.Json(captions.Select((c, i) => TinyData.Entry(i, $"{i}.jpg", "train", c)));
        File.WriteAllText(tiny.At("reid_raw.json"), json, new UTF8Encoding(encoderShouldEmitUTF8Identifier: true));
        Assert.True(new FileInfo(tiny.At("reid_raw.json")).Length > 6 << 20);
        var data = PersonDataset.Load(tiny.Root);
        Assert.Equal(captions, data.Images.Select(i => i.Captions[0]));
        Assert.Equal(Enumerable.Range(0, 4000), data.Images.Select(i => i.Identity));
        Assert.Equal(Enumerable.Range(0, 4000), data.Images.Select(i => i.Entry));
    }

    [Theory]
    [InlineData("", "the file is empty", null)]
    [InlineData("  \n ", "the JSON is broken", "entry 0")]
    [InlineData("{\"a\": 1}", "found an object", "entry 0, line 1, byte 1")]
    [InlineData("[]", "the list is empty", null)]
    [InlineData("[GOOD,\n 5]", "found a number", "entry 1, line 2, byte 2")]
    [InlineData("[GOOD,\n{\"id\": 1,, }]", "the JSON is broken", "entry 1, line 2, byte 10")]
    [InlineData("[GOOD,\n{\"id\": 1", "the JSON is broken", "entry 1, line 2")]
    [InlineData("[GOOD,\nGOOD", "the JSON is broken", "entry 2, line 2")]
    [InlineData("[GOOD]\nx", "the JSON is broken", "line 2, byte 1")]
    [InlineData("[GOOD,\n{\"id\": \"seven\"}]", "\"id\" is \"seven\"", "entry 1, line 2, byte 8")]
    [InlineData("[{\"id\": -1}]", "\"id\" is -1", "entry 0, line 1, byte 9")]
    [InlineData("[{\"id\": 99999999999}]", "\"id\" is 99999999999", "entry 0")]
    [InlineData("[GOOD,\n\n {\"id\": 1, \"split\": \"train\", \"captions\": []}]", "no \"file_path\"", "entry 1, line 3, byte 2")]
    [InlineData("[{\"id\": 1, \"split\": \"train\", \"file_path\": \"a\"}]", "no \"captions\"", "entry 0")]
    [InlineData("[{\"id\": 1, \"file_path\": \"a\", \"captions\": []}]", "no \"split\"", "entry 0")]
    [InlineData("[{\"file_path\": \"a\", \"split\": \"train\", \"captions\": []}]", "no \"id\"", "entry 0")]
    [InlineData("[{\"captions\": [\"a\", 3]}]", "\"captions\" holds 3", "entry 0, line 1, byte 21")]
    [InlineData("[{\"captions\": 3}]", "\"captions\" is 3", "entry 0")]
    [InlineData("[{\"file_path\": \"../../etc/passwd\"}]", "\"file_path\" is \"../../etc/passwd\"", "entry 0")]
    [InlineData("[{\"file_path\": \"/etc/passwd\"}]", "\"file_path\" is \"/etc/passwd\"", "entry 0")]
    [InlineData("[{\"captions\": [\"\\ud800\"]}]", "not valid Unicode", "entry 0")]
    public void Broken_annotations_name_file_entry_line_and_byte(string json, string found, string? place)
    {
        using var tiny = new TinyData();
        tiny.Write("reid_raw.json", json.Replace("GOOD", TinyData.Entry(1, "a.jpg", "train", "x")));
        var error = Assert.Throws<DataException>(() => PersonDataset.Load(tiny.Root));
        Assert.Equal(tiny.At("reid_raw.json"), error.File);
        Assert.Contains(found, error.Found);
        if (place is null) Assert.Null(error.Place);
        else Assert.Contains(place, error.Place);
        Assert.NotEmpty(error.Expected);
        Assert.StartsWith(error.File, error.Message);
    }

    [Fact]
    public void An_error_far_into_a_large_file_still_names_its_line()
    {
        using var tiny = new TinyData();
        var entries = Enumerable.Range(0, 20000).Select(i => TinyData.Entry(i, $"{i}.jpg", "train", "some words of a caption")).ToList();
        entries[17000] = "{\"id\": true}";
        tiny.Write("reid_raw.json", TinyData.Json(entries));
        Assert.Equal("entry 17000, line 17002, byte 8", Assert.Throws<DataException>(() => PersonDataset.Load(tiny.Root)).Place);
        entries[17000] = "{\"id\": tru}";
        tiny.Write("reid_raw.json", TinyData.Json(entries));
        Assert.StartsWith("entry 17000, line 17002, byte ", Assert.Throws<DataException>(() => PersonDataset.Load(tiny.Root)).Place);
    }
}
