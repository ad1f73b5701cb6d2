namespace Plip.Tests.Engine;

/// <summary>Pooling in float64 over lists of positions.</summary>
internal static class PoolOracle
{
    public static List<int>[] Windows(int size, int k, int stride, int padding) =>
        [.. Enumerable.Range(0, (size + 2 * padding - k) / stride + 1)
            .Select(i => Enumerable.Range(i * stride - padding, k).Where(p => p >= 0 && p < size).ToList())];

    public static double[] Pool(double[] x, int[] shape, List<int>[] rows, List<int>[] columns, bool maximum)
    {
        var y = new List<double>();
        for (var n = 0; n < shape[0]; n++)
            foreach (var r in rows)
                foreach (var c in columns)
                    for (var k = 0; k < shape[3]; k++)
                    {
                        var values = from i in r from j in c select x[((n * shape[1] + i) * shape[2] + j) * shape[3] + k];
                        y.Add(maximum ? values.Max() : values.Average());
                    }
        return [.. y];
    }
}
