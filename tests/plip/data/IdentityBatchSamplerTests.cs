using Plip.Data;
using Xunit;

namespace Plip.Tests.Data;

public class IdentityBatchSamplerTests
{
    [Fact]
    public void Random_batches_hold_each_image_at_most_once_and_drop_the_rest()
    {
        var data = Make(10, 7);
        var sampler = new IdentityBatchSampler(data, 16, seed: 3);
        Assert.Equal(4, sampler.BatchesPerEpoch);
        var epoch = sampler.Epoch(0);
        Assert.Equal(64, epoch.Length);
        Assert.Equal(64, epoch.Select(p => p.Image).Distinct().Count());
        Assert.All(epoch, p => Assert.InRange(p.Caption, 0, 2));
        Assert.Equal([0, 1, 2], epoch.Select(p => p.Caption).Distinct().Order());
    }

    [Theory]
    [InlineData(BatchKind.Random)]
    [InlineData(BatchKind.PxK)]
    public void An_epoch_is_a_pure_function_of_seed_and_number(BatchKind kind)
    {
        var data = Make(10, 7);
        var sampler = new IdentityBatchSampler(data, 12, 3, kind, 4);
        var fifth = sampler.Epoch(5);
        _ = sampler.Epoch(2);
        Assert.Equal(fifth, sampler.Epoch(5));
        Assert.Equal(fifth, new IdentityBatchSampler(data, 12, 3, kind, 4).Epoch(5));
        Assert.NotEqual(fifth, sampler.Epoch(6));
        Assert.NotEqual(fifth, new IdentityBatchSampler(data, 12, 4, kind, 4).Epoch(5));
    }

    [Fact]
    public void The_random_order_mixes_identities_and_captions_change_between_epochs()
    {
        var sampler = new IdentityBatchSampler(Make(50, 4), 200, 1);
        var captions = Enumerable.Range(0, 30).Select(e => sampler.Epoch(e).OrderBy(p => p.Image).Select(p => p.Caption).ToArray()).ToArray();
        // Over 30 epochs of 3 captions an image misses one of them with probability 3·(2/3)^30 < 2e-5.
        for (var i = 0; i < 200; i++) Assert.Equal(3, captions.Select(c => c[i]).Distinct().Count());
        var first = sampler.Epoch(0);
        Assert.NotEqual(first.Select(p => p.Image), first.Select(p => p.Image).Order());
    }

    [Fact]
    public void P_by_k_batches_have_p_identities_and_k_different_images_each()
    {
        var data = Make(11, 6);
        var sampler = new IdentityBatchSampler(data, 12, 9, BatchKind.PxK, 3);
        Assert.Equal(5, sampler.BatchesPerEpoch);
        for (var e = 0; e < 3; e++)
            foreach (var batch in sampler.Epoch(e).Chunk(12))
            {
                var groups = batch.GroupBy(p => data.Labels[p.Image]).ToArray();
                Assert.Equal(4, groups.Length);
                Assert.All(groups, g => Assert.Equal(3, g.Select(p => p.Image).Distinct().Count()));
            }
    }

    [Fact]
    public void P_by_k_goes_round_where_an_identity_has_fewer_images()
    {
        var data = Make(6, 2);
        foreach (var batch in new IdentityBatchSampler(data, 12, 9, BatchKind.PxK, 4).Epoch(0).Chunk(12))
            Assert.All(batch.GroupBy(p => data.Labels[p.Image]), g => Assert.Equal([2, 2], g.GroupBy(p => p.Image).Select(i => i.Count())));
    }

    [Fact]
    public void Successive_visits_of_an_identity_use_its_other_images()
    {
        var data = Make(3, 6); // two batches of 3 x 2 and a third visit: all six images of each person
        var epoch = new IdentityBatchSampler(data, 6, 2, BatchKind.PxK, 2).Epoch(1);
        Assert.Equal(18, epoch.Select(p => p.Image).Distinct().Count());
    }

    [Fact]
    public void A_batch_larger_than_the_data_is_one_clear_error()
    {
        var data = Make(5, 4);
        var error = Assert.Throws<DataException>(() => new IdentityBatchSampler(data, 21, 0));
        Assert.Contains("20 images, fewer than one batch of 21", error.Message);
        Assert.Contains("5 identities, fewer than the 6", Assert.Throws<DataException>(() => new IdentityBatchSampler(data, 12, 0, BatchKind.PxK, 2)).Message);
        Assert.Throws<ArgumentException>(() => new IdentityBatchSampler(data, 10, 0, BatchKind.PxK, 4));
        Assert.Throws<ArgumentOutOfRangeException>(() => new IdentityBatchSampler(data, 5, 0).Epoch(-1));
    }

    private static PersonDataset Make(int identities, int imagesEach) => new("tiny", "/", "/tiny.json", DatasetLayout.SynthPedes,
        [.. Enumerable.Range(0, identities * imagesEach).Select(i => new PersonImage("/", $"{i}.jpg", 100 + i % identities, ["a", "b"], ["c"], null, null, i))]);
}
