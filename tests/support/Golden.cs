namespace Plip.Tests;

/// <summary>Files that tools/golden wrote with PyTorch; they lie beside the tests.</summary>
internal static class Golden
{
    /// <summary>A file of tests/engine/io/torch/golden.</summary>
    public static string Torch(string name) => Path.Combine(AppContext.BaseDirectory, "golden", "torch", name);

    /// <summary>A file of tests/plip/weights/golden.</summary>
    public static string Weights(string name) => Path.Combine(AppContext.BaseDirectory, "golden", "weights", name);
}
