using Plip.Data;
using Xunit;

namespace Plip.Tests.Data;

public class EvaluationLoaderTests
{
    private static readonly ImageSettings Image = new() { Height = 24, Width = 12, ShiftPixels = 2 };

    [Theory]
    [InlineData(4, 1)]
    [InlineData(4, 3)]
    [InlineData(14, 2)]
    [InlineData(1000, 2)]
    public void Pictures_come_in_order_each_once_without_augmentation(int chunk, int workers)
    {
        using var tiny = new TinyData().WithCuhkPedes();
        var data = PersonDataset.Load(tiny.Root);
        var transform = new ImageTransform(Image);
        var expected = new float[transform.Size];
        var seen = 0;
        foreach (var part in new EvaluationLoader(data, new WordEncoder(), Image, 16, workers).Pictures(chunk))
        {
            Assert.Equal((seen, Math.Min(chunk, 14 - seen)), (part.Start, part.Count));
            for (var i = 0; i < part.Count; i++, seen++)
            {
                transform.Apply(Picture.Load(data.Images[seen].FullPath), default, expected);
                Assert.True(expected.AsSpan().SequenceEqual(part.Images.AsSpan(i * transform.Size, transform.Size)));
                Assert.Equal(data.Images[seen].Identity, part.Identities[i]);
            }
        }
        Assert.Equal(14, seen);
    }

    [Fact]
    public void Captions_come_in_order_with_their_images()
    {
        using var tiny = new TinyData().WithCuhkPedes();
        var data = PersonDataset.Load(tiny.Root);
        var loader = new EvaluationLoader(data, new WordEncoder(), Image, 6);
        var chunks = loader.Texts(5).ToArray();
        Assert.Equal(28, loader.CaptionCount);
        Assert.Equal([5, 5, 5, 5, 5, 3], chunks.Select(c => c.Count));
        Assert.Equal([0, 5, 10, 15, 20, 25], chunks.Select(c => c.Start));
        Assert.Equal(data.Images.SelectMany(i => i.Captions), chunks.SelectMany(c => c.Captions));
        Assert.Equal(Enumerable.Range(0, 14).SelectMany(i => new[] { i, i }), chunks.SelectMany(c => c.ImageIndices));
        Assert.Equal(data.Images.SelectMany(i => new[] { i.Identity, i.Identity }), chunks.SelectMany(c => c.Identities));
        foreach (var c in chunks)
            for (var i = 0; i < c.Count; i++)
                Assert.Equal(new WordEncoder().Encode(c.Captions[i], 6), c.TokenIds[c.CuSeqlens[i]..c.CuSeqlens[i + 1]]);
    }

    [Fact]
    public void The_first_broken_picture_is_the_one_reported()
    {
        using var tiny = new TinyData().WithCuhkPedes();
        var data = PersonDataset.Load(tiny.Root);
        File.Delete(data.Images[6].FullPath);
        File.WriteAllText(data.Images[7].FullPath, "no picture");
        var parts = 0;
        var error = Assert.Throws<DataException>(() =>
        {
            foreach (var _ in new EvaluationLoader(data, new WordEncoder(), Image, 16, 3).Pictures(4)) parts++;
        });
        Assert.Equal((1, data.Images[6].FullPath), (parts, error.File));
        Assert.Contains("entry 6", error.Place);
    }

    [Fact]
    public void Stopping_early_and_an_empty_query_are_handled()
    {
        using var tiny = new TinyData().WithCuhkPedes();
        var data = PersonDataset.Load(tiny.Root);
        foreach (var part in new EvaluationLoader(data, new WordEncoder(), Image).Pictures(3))
        {
            Assert.Equal(0, part.Start);
            break;
        }
        tiny.Write("reid_raw.json", TinyData.Json([TinyData.Entry(1, "p0/0.jpg", "test", "a", "")]));
        var loader = new EvaluationLoader(PersonDataset.Load(tiny.Root), new WordEncoder(), Image);
        Assert.Contains("entry 0", Assert.Throws<DataException>(() => loader.Texts(8).ToArray()).Place);
    }
}
