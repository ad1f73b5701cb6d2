namespace Plip.Data.World;

/// <summary>Which pictures get a part mask on disk.</summary>
public enum MaskScope
{
    /// <summary>None.</summary>
    None,
    /// <summary>Those of the test split.</summary>
    Test,
    /// <summary>All.</summary>
    All,
}

/// <summary>What world to make. The same options give the same bytes, for any number of threads.</summary>
public sealed record WorldOptions
{
    /// <summary>How many identities in all, test and validation included.</summary>
    public int Identities { get; init; } = 2000;
    /// <summary>The seed everything follows from.</summary>
    public ulong Seed { get; init; } = 1;
    /// <summary>Pictures of each identity; they come from different cameras as long as there are enough.</summary>
    public int ImagesPerIdentity { get; init; } = 5;
    /// <summary>Picture height in pixels, 64 to 512; the width is half of it.</summary>
    public int Height { get; init; } = 128;
    /// <summary>How many cameras the world has.</summary>
    public int Cameras { get; init; } = 12;
    /// <summary>The last so many identities are the test split.</summary>
    public int TestIdentities { get; init; } = 200;
    /// <summary>The so many identities before those are the validation split.</summary>
    public int ValIdentities { get; init; }
    /// <summary>Which pictures get part masks.</summary>
    public MaskScope Masks { get; init; } = MaskScope.Test;
    /// <summary>How many full scenes of several test identities to make.</summary>
    public int Scenes { get; init; }
    /// <summary>Worker threads; 0 for as many as there are cores. Never changes a byte.</summary>
    public int Threads { get; init; }

    /// <summary>"train", "val" or "test".</summary>
    public string SplitOf(int identity) => identity >= Identities - TestIdentities ? "test" : identity >= Identities - TestIdentities - ValIdentities ? "val" : "train";

    /// <summary>Checks all values.</summary>
    /// <exception cref="ArgumentException">Names the option, what was given and what is allowed.</exception>
    public void Validate()
    {
        Check(Identities >= 1, nameof(Identities), Identities, "at least 1");
        Check(ImagesPerIdentity is >= 1 and <= 100, nameof(ImagesPerIdentity), ImagesPerIdentity, "1 to 100");
        Check(Height is >= 64 and <= 512 && Height % 2 == 0, nameof(Height), Height, "an even number from 64 to 512");
        Check(Cameras is >= 1 and <= 1000, nameof(Cameras), Cameras, "1 to 1000");
        Check(TestIdentities >= 0 && ValIdentities >= 0 && TestIdentities + ValIdentities <= Identities, "TestIdentities + ValIdentities", TestIdentities + ValIdentities, $"0 to {Identities}, the number of identities");
        Check(Scenes is >= 0 and <= 100_000, nameof(Scenes), Scenes, "0 to 100000");
        Check(Threads >= 0, nameof(Threads), Threads, "0 or more");

        static void Check(bool good, string name, int given, string allowed)
        {
            if (!good) throw new ArgumentException($"World option {name} is {given}; it must be {allowed}.");
        }
    }
}
