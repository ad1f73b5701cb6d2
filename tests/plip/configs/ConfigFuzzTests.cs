using System.Text;
using Plip.Configs;
using Plip.Tests.Engine;
using Xunit;

namespace Plip.Tests.Configs;

/// <summary>A damaged configuration is either still one, or one typed error that names its source; never anything else.</summary>
public class ConfigFuzzTests
{
    [Fact]
    public void Reads_it_or_says_what_is_wrong()
    {
        var bytes = Encoding.UTF8.GetBytes(ConfigFile.ToJson(ConfigFile.Load("plip-tiny")));
        var refused = 0;
        for (uint i = 0; i < 2000; i++)
        {
            try
            {
                Assert.NotNull(ConfigFile.Parse(Encoding.UTF8.GetString(Mutation.Of(bytes, i)), "fuzz.json"));
            }
            catch (ConfigException e)
            {
                Assert.StartsWith("fuzz.json", e.Message, StringComparison.Ordinal);
                refused++;
            }
        }
        Assert.InRange(refused, 500, 2000);
    }
}
