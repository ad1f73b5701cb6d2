using System.Text.Json;
using Plip.Configs;
using Plip.Data;
using Plip.Engine;
using Plip.Evaluation;
using Plip.Model;
using Plip.Tests.Model;
using Xunit;

namespace Plip.Tests.Tools;

[Collection("console")]
public sealed class CommandLineTests(CommandLineTests.Trained trained) : IClassFixture<CommandLineTests.Trained>
{
    /// <summary>A world, a configuration and a run made by the program itself.</summary>
    public sealed class Trained : IDisposable
    {
        public Trained()
        {
            Config = Write("config.json", ConfigFile.ToJson(TinyPlip.Config()));
            Result = Captured.Run("pretrain", "--config", Config, "--data", Plip.World, "--out", Out, "--threads", "1", "--vocabulary-size", "300");
        }

        public TinyPlip Plip { get; } = new();

        public string Config { get; }

        public string Out => Path.Combine(Plip.Root, "out");

        public string Best => Path.Combine(Out, "checkpoints", "best");

        internal Captured Result { get; }

        public string At(string name) => Path.Combine(Plip.Root, name);

        public string Write(string name, string text)
        {
            File.WriteAllText(At(name), text);
            return At(name);
        }

        public void Dispose() => Plip.Dispose();
    }

    [Theory]
    [InlineData("", "quickstart,pretrain,ablate,eval,embed,colorize,data,weights,config,profile,memory,doctor")]
    [InlineData("quickstart", "--budget,--out,--seed")]
    [InlineData("pretrain", "--config,--data,--resume,--steps,--vocabulary,--no-check,--dry-run,--json")]
    [InlineData("ablate", "--tables,--seeds,--steps,--test-data,--list")]
    [InlineData("eval", "retrieval")]
    [InlineData("eval retrieval", "--checkpoint,--split,--json")]
    [InlineData("embed", "--images,--texts,--data,--out,--batch,--precision,--vocabulary")]
    [InlineData("colorize", "--image,--text,--swap,--garment,--json")]
    [InlineData("data", "make,check,pack,rate")]
    [InlineData("data pack", "--shard-size,out,directory")]
    [InlineData("data rate", "--workers,--config,--target,--json")]
    [InlineData("config", "list,show")]
    [InlineData("data make", "--identities,--masks,--scenes")]
    [InlineData("data check", "--json,directory")]
    [InlineData("profile", "--batch,--steps,--trace,--json,--device")]
    [InlineData("memory", "--batch,--recompute,--tokens,--fit,--device")]
    [InlineData("doctor", "offers")]
    public void Every_command_explains_itself(string command, string mentions)
    {
        var run = Captured.Run([.. command.Split(' ', StringSplitOptions.RemoveEmptyEntries), "--help"]);
        Assert.Equal((0, ""), (run.Code, run.Error));
        foreach (var word in mentions.Split(',')) Assert.Contains(word, run.Out);
    }

    [Theory]
    [InlineData("", "--help")]
    [InlineData("pretrian", "pretrian")]
    [InlineData("eval", "--help")]
    [InlineData("data", "--help")]
    [InlineData("pretrain", "--data")]
    [InlineData("pretrain --data x --stesp 3", "--stesp")]
    [InlineData("pretrain --data x --steps many", "many")]
    [InlineData("pretrain --data x --steps", "--steps")]
    [InlineData("pretrain --data x --data y", "--data")]
    [InlineData("eval retrieval --checkpoint x --data y", "--split")]
    [InlineData("embed --checkpoint x", "--out")]
    [InlineData("embed --checkpoint x --out y", "--images or --texts")]
    [InlineData("embed --checkpoint x --out y --images a --texts b", "--images or --texts")]
    [InlineData("embed --checkpoint x --out y --images a --batch 0", "--batch is 0")]
    [InlineData("embed --checkpoint x --out y --data a --texts b", "or --data")]
    [InlineData("embed --checkpoint x --out y.npz --images a", "--out is y.npz")]
    [InlineData("embed --checkpoint x --out y.npy --images a --split test", "--data")]
    [InlineData("embed --checkpoint x --out y.npy --images a --precision F8", "F8")]
    [InlineData("eval retrieval --checkpoint x --data y --split test --batch 0", "--batch is 0")]
    [InlineData("colorize --checkpoint x --image y --text z --garment socks", "--garment is socks; expected one of upper, lower, body, feet, head, bag")]
    [InlineData("colorize --checkpoint x --image y --text z --garment upper", "--swap")]
    [InlineData("colorize --checkpoint x --image y --text z --swap ,", "--swap names no colour")]
    [InlineData("colorize --checkpoint x --image y --text z --height 9", "--height is 9")]
    [InlineData("quickstart --budget 1", "--budget is 1")]
    [InlineData("data make --height 63 --out {tmp}", "Height is 63")]
    [InlineData("data make --masks some", "some")]
    [InlineData("data check", "directory")]
    [InlineData("doctor now", "now")]
    [InlineData("doctor --threads -1", "--threads")]
    [InlineData("embed --checkpoint x --out y --images a --threads -1", "--threads is -1")]
    public void Wrong_use_exits_2_with_one_line(string line, string mentions)
    {
        var run = Captured.Run([.. line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(a => a == "{tmp}" ? trained.At("wrong") : a)]);
        Assert.Contains(mentions, run.Fails(2));
        Assert.Equal("", run.Out);
    }

    [Fact]
    public void What_the_files_make_impossible_exits_1_with_one_line()
    {
        string best = trained.Best, world = trained.Plip.World, picture = trained.Plip.Test.Images[0].FullPath;
        string bad = trained.Write("bad.jpg", "no picture"), nothing = trained.At("nothing"), o = trained.At("o.npy");
        var empty = Directory.CreateDirectory(trained.At("empty")).FullName;
        void One(string mentions, params string[] args) => Assert.Contains(mentions, Captured.Run(args).Fails(1));

        One(nothing, "embed", "--checkpoint", nothing, "--texts", trained.Config, "--out", o);
        One(empty, "embed", "--checkpoint", empty, "--texts", trained.Config, "--out", o);
        One(trained.Config, "embed", "--checkpoint", trained.Config, "--texts", trained.Config, "--out", o);
        One(nothing, "embed", "--checkpoint", best, "--texts", nothing, "--out", o);
        One(nothing, "embed", "--checkpoint", best, "--images", nothing, "--out", o);
        One("no pictures", "embed", "--checkpoint", best, "--images", empty, "--out", o);
        One("line 2", "embed", "--checkpoint", best, "--texts", trained.Write("gap.txt", "a man\n\na woman\n"), "--out", o);
        One("empty", "embed", "--checkpoint", best, "--texts", trained.Write("none.txt", ""), "--out", o);
        One("nowhere", "embed", "--checkpoint", best, "--texts", trained.Write("one.txt", "a man\n"), "--out", trained.At("nowhere/o.npy"));
        One("word", "embed", "--checkpoint", best, "--texts", trained.Write("invisible.txt", "\u200b\u200d\n"), "--out", o);

        One("bad.jpg", "colorize", "--checkpoint", best, "--image", bad, "--text", "a man in a red coat", "--out", trained.At("c.png"));
        One(nothing, "colorize", "--checkpoint", best, "--image", nothing, "--text", "a man in a red coat", "--out", trained.At("c.png"));
        One("nowhere", "colorize", "--checkpoint", best, "--image", picture, "--text", "a man in a red coat", "--out", trained.At("nowhere/c.png"));
        One("word", "colorize", "--checkpoint", best, "--image", picture, "--text", " ", "--out", trained.At("c.png"));

        One(nothing, "eval", "retrieval", "--checkpoint", best, "--data", nothing, "--split", "test");
        One("annotation", "eval", "retrieval", "--checkpoint", best, "--data", empty, "--split", "test");
        One("test, train, val", "eval", "retrieval", "--checkpoint", best, "--data", world, "--split", "tset");

        One(nothing, "pretrain", "--data", nothing, "--out", trained.At("p"));
        One("plip-tiny", "pretrain", "--config", nothing, "--data", world, "--out", trained.At("p"));
        One("line 2", "pretrain", "--config", trained.Write("broken.json", "{\n!"), "--data", world, "--out", trained.At("p"));
        One("fewer than one batch of 500", "pretrain", "--config", trained.Config, "--data", world, "--out", trained.At("p"), "--batch-size", "500");
        One("batchSize is 1", "pretrain", "--config", trained.Config, "--data", world, "--out", trained.At("p"), "--batch-size", "1");
        One(nothing, "pretrain", "--config", trained.Config, "--data", world, "--out", trained.At("p"), "--vocabulary", nothing);
        One("[PAD]", "pretrain", "--config", trained.Config, "--data", world, "--out", trained.At("p"), "--vocabulary", trained.Write("vocab.txt", "a\nb\n"));
        One("checkpoints", "pretrain", "--config", trained.Config, "--data", world, "--out", trained.At("fresh"), "--resume");
        One("config.json", "pretrain", "--config", trained.Config, "--data", world, "--out", trained.Config);

        One(nothing, "data", "check", nothing);
        One("holds no world", "data", "make", "--identities", "3", "--test", "1", "--val", "1", "--height", "64", "--out", trained.Plip.Root);
    }

    [Fact]
    public void Pretrain_trains_and_says_where_the_best_is()
    {
        Assert.Equal((0, ""), (trained.Result.Code, trained.Result.Error));
        Assert.Contains("test on world/train: 18 pictures of 9 people", trained.Result.Out);
        Assert.Contains("4/4", trained.Result.Out);
        Assert.Contains("gc in epoch", trained.Result.Out);
        Assert.Contains($"done; the best checkpoint is {trained.Best}", trained.Result.Out);
        using var device = new CpuDevice(1);
        using var plip = PlipCheckpoint.Load(device, trained.Best);
        Assert.Equal(trained.Plip.Words.Lines, plip.Captions.Vocabulary.Lines);
    }

    [Fact]
    public void Embed_writes_the_librarys_rows()
    {
        using var device = new CpuDevice(1);
        using var plip = PlipCheckpoint.Load(device, trained.Best);
        string[] texts = ["a man in a red coat", "[MASK] [CLS] a woman [SEP]", "ein Mann mit Hüten 字", string.Join(' ', Enumerable.Repeat("blue", 5000))];
        var file = trained.Write("texts.txt", string.Join('\n', texts));
        var run = Captured.Run("embed", "--checkpoint", trained.Best, "--texts", file, "--out", trained.At("t.npy"), "--threads", "2");
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.Contains("4 rows of 16", run.Out);
        var rows = NpyReader.ReadFloat(trained.At("t.npy"));
        Assert.Equal([4, 16], rows.Shape);
        Assert.Equal(plip.EmbedTexts(texts), rows.Values);
        Assert.Equal(texts, File.ReadAllLines(trained.At("t.npy.txt")));

        run = Captured.Run("embed", "--checkpoint", trained.Best, "--images", Path.Combine(trained.Plip.World, "imgs"), "--out", trained.At("i.npy"), "--batch", "64");
        Assert.Equal((0, ""), (run.Code, run.Error));
        var names = File.ReadAllLines(trained.At("i.npy.txt"));
        rows = NpyReader.ReadFloat(trained.At("i.npy"));
        Assert.Equal([30, 16], rows.Shape);
        Assert.Equal(names.Order(StringComparer.Ordinal), names);
        Assert.Equal(plip.EmbedImages([.. names.Select(n => Picture.Load(Path.Combine(trained.Plip.World, "imgs", n)))]), rows.Values);
    }

    [Fact]
    public void Eval_prints_and_writes_figures_chance_and_baseline()
    {
        var path = trained.At("eval.json");
        var run = Captured.Run("eval", "retrieval", "--checkpoint", trained.Best, "--data", trained.Plip.World, "--split", "test", "--json", path);
        Assert.Equal((0, ""), (run.Code, run.Error));
        foreach (var word in new[] { "text→image", "image→text", "colour words (baseline)", "chance", "test split", "6 pictures embedded in", "12 texts in" }) Assert.Contains(word, run.Out);
        using var json = JsonDocument.Parse(File.ReadAllText(path));
        var root = json.RootElement;
        foreach (var part in new[] { "retrieval", "image_to_text", "baseline", "chance" })
            foreach (var key in new[] { "r1", "r5", "r10", "map", "map_trapezoidal", "minp" })
                Assert.InRange(root.GetProperty(part).GetProperty(key).GetDouble(), 0, 1);
        Assert.Equal(("F32", 64), (root.GetProperty("precision").GetString(), root.GetProperty("batch").GetInt32()));
        Assert.Equal(12, root.GetProperty("retrieval").GetProperty("queries").GetInt32());
        Assert.Equal((6, 3), (root.GetProperty("images").GetInt32(), root.GetProperty("identities").GetInt32()));
        using var best = Checkpoint.Open(trained.Best);
        Assert.Equal(best.Step, root.GetProperty("step").GetInt64());
    }

    [Fact]
    public void Data_is_made_and_checked()
    {
        var world = trained.At("made");
        var made = Captured.Run("data", "make", "--identities", "4", "--images", "2", "--test", "1", "--val", "1", "--height", "64", "--out", world);
        Assert.Equal((0, ""), (made.Code, made.Error));
        Assert.Contains("8 pictures of 4 people", made.Out);
        var good = Captured.Run("data", "check", world, "--json", trained.At("check.json"));
        Assert.Equal((0, ""), (good.Code, good.Error));
        Assert.Contains("no errors", good.Out);
        using (var json = JsonDocument.Parse(File.ReadAllText(trained.At("check.json")))) Assert.Equal(JsonValueKind.Object, json.RootElement.ValueKind);
        File.WriteAllText(Path.Combine(world, "imgs", "00000", "1.jpg"), "no picture");
        var bad = Captured.Run("data", "check", world);
        Assert.Equal((1, ""), (bad.Code, bad.Error));
        Assert.Contains("ERROR", bad.Out);
        Assert.Contains("00000/1.jpg", bad.Out.Replace('\\', '/'));
        // The same as training would meet it.
        var train = Captured.Run("pretrain", "--config", trained.Config, "--data", world, "--out", trained.At("p2"), "--batch-size", "2", "--steps", "9");
        Assert.Contains("1.jpg", train.Fails(1));
    }

    [Fact]
    public void A_thread_count_in_the_environment_that_is_none_is_wrong_use()
    {
        var before = Environment.GetEnvironmentVariable("PLIP_THREADS");
        Environment.SetEnvironmentVariable("PLIP_THREADS", "many");
        try
        {
            Assert.Contains("PLIP_THREADS", Captured.Run("doctor").Fails(2));
        }
        finally
        {
            Environment.SetEnvironmentVariable("PLIP_THREADS", before);
        }
    }

    [Fact]
    public void Doctor_finds_this_machine_sound()
    {
        var run = Captured.Run("doctor");
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.DoesNotContain("FAILED", run.Out);
        Assert.Contains("plip-rn101, plip-rn152, plip-rn50, plip-swin-b, plip-tiny", run.Out);
    }
}
