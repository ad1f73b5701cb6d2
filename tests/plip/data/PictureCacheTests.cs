using Plip.Data;
using Xunit;

namespace Plip.Tests.Data;

public class PictureCacheTests
{
    [Fact]
    public void Keeps_copies_until_the_budget_is_full()
    {
        using var cache = new PictureCache(images: 5, pictureSize: 4, budget: 11);
        byte[] picture = [1, 2, 3, 4];
        cache.Offer(3, picture);
        cache.Offer(3, [9, 9, 9, 9]); // known already: neither replaced nor counted again
        cache.Offer(0, [5, 6, 7, 8]);
        cache.Offer(1, [5, 5, 5, 5]); // no room
        picture[0] = 77;
        Assert.Equal([1, 2, 3, 4], cache.Find(3).ToArray());
        Assert.Equal([5, 6, 7, 8], cache.Find(0).ToArray());
        Assert.True(cache.Find(1).IsEmpty);
        Assert.Equal(8, cache.Used);
    }

    [Fact]
    public void A_budget_below_one_picture_keeps_nothing()
    {
        using var cache = new PictureCache(2, 4, 3);
        cache.Offer(0, [1, 2, 3, 4]);
        Assert.True(cache.Find(0).IsEmpty);
        Assert.Equal(0, cache.Used);
    }
}
