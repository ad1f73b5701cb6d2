using System.Reflection;
using Plip.Engine;
using Xunit;

namespace Plip.Oracle;

public class CoverageTests
{
    /// <summary>A new op fails here until a comparison with LibTorch carries its name: [Trait("op", nameof(Ops.New))].</summary>
    [Fact]
    public void Every_op_is_compared_with_LibTorch()
    {
        var ops = typeof(Ops).GetMethods(BindingFlags.Public | BindingFlags.Static).Select(m => m.Name).ToHashSet(StringComparer.Ordinal);
        var compared = typeof(CoverageTests).Assembly.GetTypes()
            .SelectMany(t => t.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly))
            .SelectMany(m => m.GetCustomAttributes<TraitAttribute>())
            .Where(t => t.Name == "op").Select(t => t.Value).ToHashSet(StringComparer.Ordinal);
        Assert.True(ops.Count > 30, $"only {ops.Count} ops were found");
        Assert.Empty(ops.Except(compared));
        Assert.Empty(compared.Except(ops));
    }
}
