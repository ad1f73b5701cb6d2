using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;
using Plip.Tests.Model;
using Xunit;

namespace Plip.Tests.Configs;

public sealed class ConfigFileTests
{
    private const string Small = """
        {
          "name": "small",
          "image": { "height": 64, "width": 32 },
          "visual": { "type": "modified-resnet", "layers": [1, 1, 1, 1], "width": 4 },
          "text": { "layers": 1, "width": 16, "heads": 2, "maxTokens": 40, "positions": 40 }
        }
        """;

    /// <summary>The small configuration with one more entry in a section ("" for the top).</summary>
    private static string With(string section, string entry) => section switch
    {
        "" => Small.Replace("\"name\": \"small\",", $"\"name\": \"small\", {entry},"),
        "tasks.ivlc" or "tasks.tic" or "tasks.iap" => With("", $"\"tasks\": {{ \"{section[6..]}\": {{ {entry} }} }}"),
        "training" or "tasks" => With("", $"\"{section}\": {{ {entry} }}"),
        _ => Small.Replace($"\"{section}\": {{ ", $"\"{section}\": {{ {entry}, "),
    };

    private static string Error(string json) => Assert.Throws<ConfigException>(() => ConfigFile.Parse(json, "my.json")).Message;

    [Theory]
    [InlineData("", "\"traning\": {}", "traning", "training")]
    [InlineData("image", "\"hieght\": 64", "image.hieght", "image.height")]
    [InlineData("visual", "\"widht\": 4", "visual.widht", "visual.width")]
    [InlineData("text", "\"dropuot\": 0", "text.dropuot", "text.dropout")]
    [InlineData("tasks", "\"ivcl\": {}", "tasks.ivcl", "tasks.ivlc")]
    [InlineData("tasks.ivlc", "\"normalise\": true", "tasks.ivlc.normalise", "tasks.ivlc.normalize")]
    [InlineData("training", "\"learningrate\": 1", "training.learningrate", "training.learningRate")]
    [InlineData("training", "\"type\": \"x\"", "training.type", "training.")]
    [InlineData("image", "\"type\": \"x\"", "image.type", "image.")]
    public void An_unknown_key_fails_and_names_the_nearest(string section, string entry, string key, string nearest)
    {
        var message = Error(With(section, entry));
        Assert.StartsWith("my.json: unknown key \"" + key + "\"", message);
        Assert.Contains("did you mean \"" + nearest, message);
    }

    [Theory]
    [InlineData("training", "\"optimizer\": \"Adam\"", "training.optimizer is \"Adam\"", "Adan, AdamW, Sgd")]
    [InlineData("training", "\"optimizer\": 1", "training.optimizer is 1", "Adan, AdamW, Sgd")]
    [InlineData("tasks.ivlc", "\"loss\": \"Clip\"", "tasks.ivlc.loss is \"Clip\"", "Cmpm, Sdm, Alignment, InfoNce")]
    [InlineData("visual", "\"head\": \"Mean\"", "visual.head is \"Mean\"", "MaxLinear, MeanLinear, AttentionPool")]
    public void A_wrong_choice_lists_the_right_ones(string section, string entry, string what, string choices)
    {
        var message = Error(With(section, entry));
        Assert.Contains(what, message);
        Assert.Contains(choices, message);
    }

    [Theory]
    [InlineData("image", "\"height\": 63", "image.height is 63", "multiple of 16")]
    [InlineData("image", "\"width\": 16", "image.width is 16", "from 32")]
    [InlineData("image", "\"height\": 48", "image is 48×32", "multiple of 32")]
    [InlineData("image", "\"std\": [1, 0, 1]", "image.std", "three positive numbers")]
    [InlineData("image", "\"mean\": [1]", "image.mean", "three numbers")]
    [InlineData("visual", "\"layers\": [1, 1, 1]", "visual.layers is 1, 1, 1", "four numbers")]
    [InlineData("visual", "\"width\": 3", "visual.width is 3", "even number")]
    [InlineData("visual", "\"head\": \"AttentionPool\", \"heads\": 7", "visual.heads is 7", "divisor")]
    [InlineData("text", "\"heads\": 3", "text.heads is 3", "divisor of text.width, 16")]
    [InlineData("text", "\"frozenLayers\": 2", "text.frozenLayers is 2", "0 to text.layers, 1")]
    [InlineData("text", "\"dropout\": 1", "text.dropout is 1", "below 1")]
    [InlineData("text", "\"maxTokens\": 41", "text.maxTokens is 41", "text.positions, 40")]
    [InlineData("text", "\"intermediate\": -1", "text.intermediate is -1", "0")]
    [InlineData("tasks.tic", "\"channels\": 6", "tasks.tic.channels is 6", "multiple of 4")]
    [InlineData("tasks.tic", "\"weight\": -1", "tasks.tic.weight is -1", "0 or more")]
    [InlineData("tasks.tic", "\"distance\": \"Manhattan\", \"reduction\": \"Sum\"", "tasks.tic.reduction is Sum", "PerImageNorm or Mean")]
    [InlineData("tasks.iap", "\"layers\": 0", "tasks.iap.layers is 0", "1 to 24")]
    [InlineData("tasks.iap", "\"weight\": -0.5", "tasks.iap.weight is -0.5", "0 or more")]
    [InlineData("tasks.iap", "\"curriculum\": \"cosine\"", "tasks.iap.curriculum is cosine", "sqrt(x)")]
    [InlineData("tasks.ivlc", "\"scale\": 0", "tasks.ivlc.scale is 0", "positive")]
    [InlineData("tasks", "\"ivlc\": { \"enabled\": false }, \"tic\": { \"enabled\": false }, \"iap\": { \"enabled\": false }", "tasks is all disabled", "at least one")]
    [InlineData("training", "\"batchSize\": 1", "training.batchSize is 1", "2 or more")]
    [InlineData("training", "\"accumulation\": 0", "training.accumulation is 0", "1 or more")]
    [InlineData("training", "\"learningRate\": 0", "training.learningRate is 0", "positive")]
    [InlineData("training", "\"textLearningRateScale\": -1", "training.textLearningRateScale is -1", "0 or more")]
    [InlineData("training", "\"weightDecay\": -1", "training.weightDecay is -1", "0 or more")]
    [InlineData("training", "\"warmup\": 1", "training.warmup is 1", "below 1")]
    [InlineData("training", "\"milestones\": [0.5, 2]", "training.milestones is 0.5, 2", "between 0 and 1")]
    [InlineData("training", "\"ema\": 1", "training.ema is 1", "below 1")]
    [InlineData("training", "\"flip\": 1.5", "training.flip is 1.5", "probability")]
    [InlineData("training", "\"shift\": -1", "training.shift is -1", "0")]
    [InlineData("training", "\"clipNorm\": -1", "training.clipNorm is -1", "0")]
    [InlineData("training", "\"steps\": -1", "training.steps is -1", "0")]
    [InlineData("training", "\"validateEvery\": -1", "training.validateEvery is -1", "0")]
    [InlineData("training", "\"epochs\": 0", "training.epochs is 0", "positive")]
    [InlineData("training", "\"workers\": 0", "training.workers is 0", "1 to 256")]
    [InlineData("training", "\"sampler\": \"PxK\", \"batchSize\": 6, \"imagesPerIdentity\": 4", "training.imagesPerIdentity is 4", "divisor of the batch size 6")]
    public void A_value_out_of_range_names_key_and_range(string section, string entry, string what, string range)
    {
        var message = Error(section == "visual" || section == "text" || section == "image" ? Replaced(section, entry) : With(section, entry));
        Assert.StartsWith("my.json: ", message);
        Assert.Contains(what, message);
        Assert.Contains(range, message);
    }

    [Theory]
    [InlineData("\"type\": \"modified-resnet\", ", "visual.type is missing")]
    [InlineData("\"type\": \"modified-resnet\"", "visual.type is \"vgg\"")]
    public void A_visual_encoder_is_chosen_by_its_declared_type(string declared, string what)
    {
        var message = Error(Small.Replace(declared, what.Contains("vgg") ? "\"type\": \"vgg\"" : ""));
        Assert.Contains(what, message);
        Assert.Contains("expected one of modified-resnet, swin, vit", message);
    }

    [Theory]
    [InlineData("\"type\": \"swin\", \"depths\": [1, 1, 1]", "visual.depths is 1, 1, 1", "four")]
    [InlineData("\"type\": \"swin\", \"heads\": [3, 8, 16, 32]", "visual.heads is 3, 8, 16, 32", "128, 256, 512, 1024")]
    [InlineData("\"type\": \"swin\", \"window\": 1", "visual.window is 1", "2 to 10")]
    [InlineData("\"type\": \"swin\", \"stochasticDepth\": 1", "visual.stochasticDepth is 1", "below 1")]
    [InlineData("\"type\": \"swin\", \"layers\": [1]", "visual.layers", "did you mean")]
    [InlineData("\"type\": \"vit\", \"patch\": 24", "visual.patch is 24", "64×32")]
    [InlineData("\"type\": \"vit\", \"heads\": 5", "visual.heads is 5", "384")]
    public void Swin_and_ViT_say_what_they_take(string visual, string what, string range)
    {
        var message = Error(Small.Replace("\"type\": \"modified-resnet\", \"layers\": [1, 1, 1, 1], \"width\": 4", visual));
        Assert.Contains(what, message);
        Assert.Contains(range, message);
    }

    [Fact]
    public void Colorization_without_stage_maps_is_one_clear_error()
    {
        var vit = Small.Replace("\"type\": \"modified-resnet\", \"layers\": [1, 1, 1, 1], \"width\": 4", "\"type\": \"vit\"");
        var message = Error(vit);
        Assert.Contains("tasks.tic.enabled is True; expected false", message);
        Assert.Contains("\"modified-resnet\" and \"swin\"", message);
        var config = ConfigFile.Parse(vit.Replace("\"name\": \"small\",", "\"name\": \"small\", \"tasks\": { \"tic\": { \"enabled\": false } },"), "my.json");
        Assert.Equal(ConfigFile.ToJson(config), ConfigFile.ToJson(ConfigFile.Parse(ConfigFile.ToJson(config), "x")));
    }

    /// <summary>The paper's recipe with each of its encoders: 512 pairs a step, and nothing else than the encoder and how the 512 are cut differs.</summary>
    [Theory]
    [InlineData("plip-rn50")]
    [InlineData("plip-rn101")]
    [InlineData("plip-rn152")]
    [InlineData("plip-swin-b")]
    public void The_papers_recipe_is_built_in_for_each_encoder(string name)
    {
        Assert.Contains(name, ConfigFile.BuiltIn);
        var config = ConfigFile.Load(name);
        Assert.Equal(name, config.Name);
        Assert.Equal(512, config.Training.BatchSize * config.Training.Accumulation);
        string Rest(PlipConfig c) => ConfigFile.ToJson(c with { Name = "", Visual = new SwinConfig(), Training = c.Training with { BatchSize = 512, Accumulation = 1 } });
        Assert.Equal(Rest(ConfigFile.Load("plip-rn50")), Rest(config));
        Assert.Equal((70.0, OptimizerKind.Adan, 0.002f, 7), (config.Training.Epochs, config.Training.Optimizer, config.Training.LearningRate, config.Text.FrozenLayers));
    }

    [Theory]
    [InlineData("{\n\"name\": \"x\",\n!\n}", "line 3")]
    [InlineData("", "my.json")]
    [InlineData("null", "my.json")]
    [InlineData("[1, 2]", "my.json")]
    [InlineData("{\n  \"name\": \"x\",\n  \"image\": { \"height\": \"tall\" }\n}", "$.image.height")]
    [InlineData("{ \"name\": \"x\" }", "image")]
    public void Broken_or_incomplete_json_says_where(string json, string where) => Assert.Contains(where, Error(json));

    [Theory]
    [InlineData("visual")]
    [InlineData("text")]
    [InlineData("training")]
    [InlineData("tasks")]
    [InlineData("name")]
    public void A_section_that_is_null_is_an_error_that_names_it(string key)
    {
        var json = ConfigFile.ToJson(ConfigFile.Parse(Small, "x"));
        using var document = System.Text.Json.JsonDocument.Parse(json);
        var nulled = "{" + string.Join(",", document.RootElement.EnumerateObject().Select(p => $"\"{p.Name}\": {(p.Name == key ? "null" : p.Value.GetRawText())}")) + "}";
        Assert.Contains(key, Error(nulled));
    }

    [Fact]
    public void A_number_too_large_for_its_type_is_an_error()
    {
        Assert.Contains("training", Error(With("training", "\"learningRate\": 1e99")));
        Assert.Contains("training", Error(With("training", "\"batchSize\": 5000000000")));
    }

    [Fact]
    public void A_name_that_is_neither_built_in_nor_a_file_lists_what_is_built_in()
    {
        var message = Assert.Throws<ConfigException>(() => ConfigFile.Load("plip-huge")).Message;
        Assert.Contains("plip-huge", message);
        Assert.Contains("plip-rn101, plip-rn152, plip-rn50, plip-swin-b, plip-tiny", message);
    }

    [Fact]
    public void What_is_written_is_read_back_the_same()
    {
        var config = TinyPlip.Config() with
        {
            Tasks = new TasksConfig
            {
                Ivlc = new IvlcConfig { Loss = IvlcLoss.Sdm, Scale = 50, Normalize = true, Labels = MatchNormalization.L2Norm },
                Tic = new TicConfig { Enabled = false, Weight = 0.5f, Distance = TicDistance.Manhattan, Channels = 8 },
                Iap = new IapConfig { Curriculum = "constant(0.5)", Layers = 3 },
            },
        };
        var json = ConfigFile.ToJson(config);
        var back = ConfigFile.Parse(json, "x");
        Assert.Equal(json, ConfigFile.ToJson(back));
        Assert.Equal(config.Tasks, back.Tasks);
        Assert.Equal(config.Text, back.Text);
        Assert.Equal(config.Image.Std, back.Image.Std);
        Assert.Equal(((ModifiedResNetConfig)config.Visual).Layers, ((ModifiedResNetConfig)back.Visual).Layers);
        Assert.Equal(config.Training with { Milestones = [] }, back.Training with { Milestones = [] });
        Assert.Equal(config.Training.Milestones, back.Training.Milestones);
    }

    [Fact]
    public void Comments_and_trailing_commas_are_allowed_and_what_is_left_out_has_its_default()
    {
        var config = ConfigFile.Parse(Small.Replace("\"name\"", "// a remark\n\"name\"").Replace("\"heads\": 2,", "\"heads\": 2, /* more */"), "x");
        Assert.Equal(new TasksConfig(), config.Tasks);
        Assert.Equal(OptimizerKind.Adan, config.Training.Optimizer);
        Assert.Equal(0.1f, config.Text.Dropout);
    }

    [Fact]
    public void The_built_in_configurations_load_and_the_papers_is_the_papers()
    {
        Assert.Contains("plip-tiny", ConfigFile.BuiltIn);
        foreach (var name in ConfigFile.BuiltIn)
        {
            var config = ConfigFile.Load(name);
            Assert.Equal(name, config.Name);
            Assert.Equal(ConfigFile.ToJson(config), ConfigFile.ToJson(ConfigFile.Parse(ConfigFile.ToJson(config), name)));
        }
        var paper = ConfigFile.Load("plip-rn50");
        // The paper's recipe (PAPER sections 2 and 3), where a slip would cost two weeks of training.
        Assert.Equal((0.02f, 0.1f, "sqrt(x)"), (paper.Tasks.Tic.Weight, paper.Tasks.Iap.Weight, paper.Tasks.Iap.Curriculum));
        Assert.Equal(512, paper.Training.BatchSize * paper.Training.Accumulation);
        Assert.Equal((OptimizerKind.Adan, 0.002f, 0.1f, 0.02f), (paper.Training.Optimizer, paper.Training.LearningRate, paper.Training.TextLearningRateScale, paper.Training.WeightDecay));
        Assert.Equal([30 / 70.0, 50 / 70.0], paper.Training.Milestones, (a, b) => Math.Abs(a - b) < 1e-5);
        Assert.Equal(new ImageConfig().Mean, paper.Image.Mean);
    }

    /// <summary>The small configuration with keys of a section set anew, whether it has them or not.</summary>
    private static string Replaced(string section, string entry)
    {
        var start = Small.IndexOf($"\"{section}\": {{ ", StringComparison.Ordinal) + section.Length + 6;
        var end = Small.IndexOf('}', start);
        using var own = System.Text.Json.JsonDocument.Parse("{" + Small[start..end] + "}");
        using var more = System.Text.Json.JsonDocument.Parse("{" + entry + "}");
        var kept = own.RootElement.EnumerateObject().Where(p => !more.RootElement.TryGetProperty(p.Name, out _)).Select(p => $"\"{p.Name}\": {p.Value.GetRawText()}");
        return Small[..start] + string.Join(", ", kept.Append(entry)) + " " + Small[end..];
    }

    /// <summary>Texts name the configurations by a path; other paths that lead nowhere are somebody's own files, mistyped.</summary>
    [Fact]
    public void A_built_in_configuration_answers_to_its_path_in_configs_alone()
    {
        Assert.Equal(ConfigFile.ToJson(ConfigFile.Load("plip-rn50")), ConfigFile.ToJson(ConfigFile.Load("configs/plip-rn50.json")));
        foreach (var path in new[] { "mine/plip-rn50.json", "plip-rn50.json", "configs/plip-rn50", "configs/.json", "configs/plip-rn5.json" })
            Assert.Contains(path, Assert.Throws<ConfigException>(() => ConfigFile.Load(path)).Message, StringComparison.Ordinal);
        Assert.Contains("plip-rn50 without folder", Assert.Throws<ConfigException>(() => ConfigFile.Load("mine/plip-rn50.json")).Message, StringComparison.Ordinal);
    }
}
