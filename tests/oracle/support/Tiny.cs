using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;

namespace Plip.Oracle;

/// <summary>A PLIP small enough to run twice in a blink, and a batch for it, with every feature of the large one.</summary>
internal static class Tiny
{
    /// <summary>Pairs; the identities of <see cref="Identities"/>.</summary>
    public const int Pairs = 6, Height = 64, Width = 32, Words = 50;

    /// <summary>Two people twice, two once.</summary>
    public static readonly int[] Identities = [0, 1, 0, 2, 3, 1];

    /// <summary>Captions of very different lengths; masking keeps the length.</summary>
    public static readonly int[] Offsets = [0, 5, 8, 20, 24, 25, 31];

    /// <summary>Packed places of masked words: two captions have none.</summary>
    public static readonly int[] Places = [1, 3, 9, 10, 17, 22, 29];

    public const int MaskId = 4;

    public static PlipConfig Config(float dropout = 0, TasksConfig? tasks = null) => new()
    {
        Name = "tiny",
        Image = new ImageConfig { Height = Height, Width = Width },
        Visual = new ModifiedResNetConfig { Layers = [1, 2, 1, 1], Width = 8, ZeroInitResidual = false },
        Text = new BertConfig { Layers = 2, Width = 24, Heads = 3, VocabularySize = Words, Positions = 16, MaxTokens = 16, Dropout = dropout },
        Tasks = tasks ?? new TasksConfig { Tic = new TicConfig { Channels = 32 } },
    };

    /// <summary>Normalised pictures.</summary>
    public static float[] Pixels() => Torch.Normal(Pairs * Height * Width * 3, 21);

    public static int[] Captions()
    {
        var random = new Philox(8, 1);
        return [.. Enumerable.Range(0, Offsets[^1]).Select(i => 5 + random.Next((ulong)i, Words - 5))];
    }

    /// <summary>The captions with <see cref="Places"/> masked.</summary>
    public static int[] Masked() => [.. Captions().Select((id, i) => Places.Contains(i) ? MaskId : id)];

    /// <summary>The words that were masked.</summary>
    public static int[] Answers()
    {
        var captions = Captions();
        return Array.ConvertAll(Places, i => captions[i]);
    }
}
