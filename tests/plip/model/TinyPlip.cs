using System.Security.Cryptography;
using System.Text;
using Plip.Configs;
using Plip.Data;
using Plip.Data.World;
using Plip.Encoders;
using Plip.Engine;
using Plip.Text;
using Plip.Training;

namespace Plip.Tests.Model;

/// <summary>A rendered world of fifteen people and room for runs, gone when disposed. Make one for a class of tests.</summary>
public sealed class TinyPlip : IDisposable
{
    private readonly Lazy<Vocabulary> _words;
    private int _folders;

    public TinyPlip()
    {
        WorldWriter.Make(new WorldOptions { Identities = 15, TestIdentities = 3, ValIdentities = 3, ImagesPerIdentity = 2, Height = 64, Threads = 1 }, World);
        Data = PersonDataset.Load(World, DatasetLayout.CuhkPedes);
        _words = new(() => Vocabulary.Learn(Train.Images.SelectMany(i => i.Captions), 300));
    }

    public string Root { get; } = Path.Combine(Path.GetTempPath(), "plip-tiny-" + Guid.NewGuid().ToString("N"));

    public string World => Path.Combine(Root, "world");

    public PersonDataset Data { get; }

    public PersonDataset Train => Data.Split("train");

    public PersonDataset Validation => Data.Split("val");

    public PersonDataset Test => Data.Split("test");

    public Vocabulary Words => _words.Value;

    /// <summary>64×32 pictures, four bottlenecks, two BERT blocks of width 16, and all that is random switched on.</summary>
    public static PlipConfig Config() => new()
    {
        Name = "test",
        Image = new ImageConfig { Height = 64, Width = 32 },
        Visual = new ModifiedResNetConfig { Layers = [1, 1, 1, 1], Width = 4, ZeroInitResidual = false },
        Text = new BertConfig { Layers = 2, Width = 16, Heads = 2, MaxTokens = 40, Positions = 40, Dropout = 0.1f },
        Tasks = new TasksConfig { Tic = new TicConfig { Channels = 16 } },
        Training = new TrainingConfig { Steps = 4, BatchSize = 6, LearningRate = 1e-3f, Warmup = 0.25, ValidateEvery = 2, Ema = 0.9f, Shift = 2, Flip = 0.5f, Workers = 2 },
    };

    /// <summary>A folder of its own that does not exist yet.</summary>
    public string NewFolder() => Path.Combine(Root, "run-" + Interlocked.Increment(ref _folders));

    public Trainer Trainer(Device device, PlipConfig config, string folder, bool resume = false, Action<TrainingProgress>? progress = null, bool validate = true) =>
        new(device, config, Words, new TrainerOptions
        {
            Train = Train,
            Validation = validate ? Validation : null,
            Folder = folder,
            Resume = resume,
            Progress = progress,
            Warning = _ => { },
        });

    /// <summary>A finished run of the configuration; its folder.</summary>
    public string Trained(PlipConfig config, int threads = 1, long until = 0, bool resume = false, string? folder = null, Action<Trainer, TrainingProgress>? progress = null)
    {
        folder ??= NewFolder();
        using var device = new CpuDevice(threads);
        Trainer? running = null;
        using var trainer = running = Trainer(device, config, folder, resume, p => progress?.Invoke(running!, p));
        trainer.Run(until);
        return folder;
    }

    /// <summary>A hash over names and bits of the tensors below a prefix.</summary>
    public static string Bits(StateDict state, string prefix = "")
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var count = 0;
        foreach (var (name, tensor) in state)
        {
            if (!name.StartsWith(prefix, StringComparison.Ordinal)) continue;
            var bytes = new byte[tensor.Shape.Count * tensor.DType.Size()];
            tensor.Read(0, bytes);
            hash.AppendData(Encoding.UTF8.GetBytes(name));
            hash.AppendData(bytes);
            count++;
        }
        return $"{count} tensors {Convert.ToHexStringLower(hash.GetHashAndReset())}";
    }

    /// <summary>All that a run leaves: weights, moments with the loss scale, average, state, metrics. Two equal strings are two equal runs.</summary>
    public static string[] Fingerprint(string folder)
    {
        using var last = Checkpoint.Open(Path.Combine(folder, "checkpoints", "last"));
        using var best = Checkpoint.Open(Path.Combine(folder, "checkpoints", "best"));
        return
        [
            Bits(last.Tensors, "model."), Bits(last.Tensors, "optimizer.") + Bits(last.Tensors, "scaler."), Bits(last.Tensors, "ema."), last.Metadata["trainer"],
            Bits(best.Tensors), best.Metadata["trainer"], File.ReadAllText(Path.Combine(folder, "metrics.jsonl")),
        ];
    }

    public void Dispose() => Directory.Delete(Root, recursive: true);
}
