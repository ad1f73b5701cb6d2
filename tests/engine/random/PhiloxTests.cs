using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class PhiloxTests
{
    /// <summary>The known answers that the authors of Philox publish for Philox4x32-10.</summary>
    [Theory]
    [InlineData(0ul, 0u, 0u, 0ul, 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u)]
    [InlineData(ulong.MaxValue, uint.MaxValue, uint.MaxValue, ulong.MaxValue, 0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu)]
    [InlineData(0x299f31d0a4093822ul, 0x03707344u, 0x13198a2eu, 0x85a308d3243f6a88ul, 0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u)]
    public void Gives_the_published_answers(ulong seed, uint stream, uint step, ulong block, uint a, uint b, uint c, uint d) =>
        Assert.Equal((a, b, c, d), new Philox(seed, stream, step).Block(block));

    [Fact]
    public void A_permutation_holds_each_index_once() =>
        Assert.Equal(Enumerable.Range(0, 1000), new Philox(7, 1).Permutation(1000).Order());

    /// <summary>Counters abreast give what one counter after another gives, across 2³² too, at every width.</summary>
    [Fact]
    public void A_run_is_the_uniforms_of_its_elements()
    {
        if (CpuDevice.WidestVector >= 512) IsRun<Vec512>();
        if (CpuDevice.WidestVector >= 256) IsRun<Vec256>();
        IsRun<Vec128>();
    }

    private static unsafe void IsRun<V>() where V : struct, IVector<V>
    {
        var random = new Philox(0x9876543210ABCDEF, 0xFEDCBA98, 0x80000077);
        var run = stackalloc float[Philox.RunLength];
        foreach (var block in new ulong[] { 0, 3, 0xFFFFFFFE, 0x123456789A, ulong.MaxValue / 4 - 8 })
        {
            random.Uniforms<V>(block, run);
            for (var i = 0; i < Philox.RunLength; i++) Assert.Equal(random.Uniform(4 * block + (ulong)i), run[i]);
        }
    }
}
