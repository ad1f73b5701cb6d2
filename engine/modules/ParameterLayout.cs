namespace Plip.Engine;

/// <summary>How a parameter's stored order relates to PyTorch's. Checkpoints always hold PyTorch's (DESIGN 3).</summary>
public enum ParameterLayout : byte
{
    /// <summary>The same order.</summary>
    Plain,

    /// <summary>
    /// Stored (R, S, C, K), PyTorch (K, C, R, S). A transposed convolution maps K channels to C, and PyTorch writes its
    /// weight (in, out, R, S), which is (K, C, R, S) again: one permutation serves both.
    /// </summary>
    Conv,
}

/// <summary>Turns parameters between the stored and PyTorch's order.</summary>
internal static class ParameterLayouts
{
    /// <summary>PyTorch's shape of what is stored with shape <paramref name="stored"/>.</summary>
    public static Shape ToPyTorch(this ParameterLayout layout, Shape stored) =>
        layout == ParameterLayout.Plain ? stored : new Shape(stored[3], stored[2], stored[0], stored[1]);

    /// <summary>Values in PyTorch's order from values in the stored order.</summary>
    public static float[] ToPyTorch(this ParameterLayout layout, float[] values, Shape stored)
    {
        if (layout == ParameterLayout.Plain) return values;
        var (rs, c, k) = (stored[0] * stored[1], stored[2], stored[3]);
        var result = new float[values.Length];
        var from = 0;
        for (var p = 0; p < rs; p++)
            for (var j = 0; j < c; j++)
                for (var i = 0; i < k; i++) result[(i * c + j) * rs + p] = values[from++];
        return result;
    }

    /// <summary>Values in the stored order from values in PyTorch's.</summary>
    public static float[] FromPyTorch(this ParameterLayout layout, float[] values, Shape stored)
    {
        if (layout == ParameterLayout.Plain) return values;
        var (rs, c, k) = (stored[0] * stored[1], stored[2], stored[3]);
        var result = new float[values.Length];
        var to = 0;
        for (var p = 0; p < rs; p++)
            for (var j = 0; j < c; j++)
                for (var i = 0; i < k; i++) result[to++] = values[(i * c + j) * rs + p];
        return result;
    }
}
