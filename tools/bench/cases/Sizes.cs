namespace Plip.Bench;

/// <summary>How much of plip-rn50 is worked on at once: what keeps a CPU busy for milliseconds leaves a GPU idle.</summary>
/// <param name="Pictures">Pictures of a batch.</param>
/// <param name="Captions">Captions of 20 to 64 tokens.</param>
/// <param name="Tokens">Rows of what is computed token by token.</param>
/// <param name="Masked">Places whose word is to be guessed.</param>
internal sealed record Sizes(int Pictures, int Captions, int Tokens, int Masked)
{
    /// <summary>What a CPU's memory and patience allow.</summary>
    public static Sizes Cpu { get; } = new(8, 64, 2048, 256);

    /// <summary>The paper's batch on one GPU: 128 pairs.</summary>
    public static Sizes Gpu { get; } = new(128, 128, 4096, 512);

    /// <summary>To try the program on the emulator.</summary>
    public static Sizes Small { get; } = new(1, 4, 64, 8);
}
