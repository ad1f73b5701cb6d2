using System.Text;
using Plip.Data;
using Plip.Tests.Engine;
using Xunit;

namespace Plip.Tests.Data;

/// <summary>A damaged annotation file is either still one, or one typed error that names it; never anything else.</summary>
public class AnnotationFuzzTests
{
    [Theory]
    [InlineData("reid_raw.json", """[{"split":"train","id":1,"file_path":"1/a.jpg","captions":["A man in a red coat.","Blue jeans."]},{"split":"test","id":2,"file_path":"2/b.jpg","captions":["A woman."]}]""")]
    [InlineData("synthpedes_dataset.json", """[{"id":7,"file_path":"Part1/7/1.jpg","attributes":["man,black hair,black shirt,pink shorts,black shoes,unknown"],"captions":["x y","z"],"prompt_caption":["p"]}]""")]
    [InlineData("ICFG-PEDES.json", """[{"split":"train","id":1,"file_path":"train/1.jpg","captions":["A man."],"processed_tokens":[["a","man"]]},{"split":"test","id":2,"file_path":"test/2.jpg","captions":["B."]}]""")]
    [InlineData("data_captions.json", """[{"id":0,"img_path":"0.jpg","captions":["A \"man\".","B"],"split":"train"},{"id":1,"img_path":"1.jpg","captions":["C"],"split":"test"}]""")]
    public void Reads_it_or_says_what_is_wrong(string name, string json)
    {
        using var data = new TinyData();
        var bytes = Encoding.UTF8.GetBytes(json);
        var refused = 0;
        for (uint i = 0; i < 500; i++)
        {
            File.WriteAllBytes(data.At(name), Mutation.Of(bytes, i));
            try
            {
                Assert.NotEmpty(PersonDataset.Load(data.Root).Images);
            }
            catch (DataException e)
            {
                Assert.Contains(name, e.Message, StringComparison.Ordinal);
                refused++;
            }
        }
        Assert.InRange(refused, 100, 500); // most damage breaks JSON's grammar or a required key
    }
}
