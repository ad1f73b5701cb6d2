using Plip.Data;
using Plip.Data.World;
using Plip.Engine;
using Plip.Evaluation;
using Xunit;

namespace Plip.Tests.Evaluation;

public sealed class ImageReidTests
{
    private const int Dim = 7;

    private static (float[] Values, int[] Ids, int[] Cameras) Sample(int count)
    {
        var random = new Philox(3, 9);
        return (
            [.. Enumerable.Range(0, count * Dim).Select(i => random.Normal((ulong)i))],
            [.. Enumerable.Range(0, count).Select(i => new Philox(3, 10).Next((ulong)i, 1 + count / 4))],
            [.. Enumerable.Range(0, count).Select(i => new Philox(3, 11).Next((ulong)i, 3))]);
    }

    /// <summary>The oracle builds each query's own gallery, without what its camera took of its identity, and searches that with nothing removed.</summary>
    [Theory]
    [InlineData(6)]
    [InlineData(41)]
    [InlineData(160)]
    public void A_query_sees_the_gallery_without_its_own_identity_under_its_own_camera(int count)
    {
        var (values, ids, cameras) = Sample(count);
        var outcome = ImageReid.Evaluate(new Embeddings(values, ids, Dim), cameras, "test split");
        double r1 = 0, map = 0, chance = 0;
        var valid = 0;
        for (var q = 0; q < count; q++)
        {
            var left = Enumerable.Range(0, count).Where(g => ids[g] != ids[q] || cameras[g] != cameras[q]).ToArray();
            Assert.DoesNotContain(q, left);
            var one = Retrieval.Evaluate(
                values.AsMemory(q * Dim, Dim), new[] { ids[q] }, left.SelectMany(g => values[(g * Dim)..((g + 1) * Dim)]).ToArray(), left.Select(g => ids[g]).ToArray(), Dim);
            if (one.Figures.Queries == 0) continue;
            valid++;
            r1 += one.Figures.R1;
            map += one.Figures.Map;
            chance += one.Chance.Map;
        }
        Assert.True(valid > 0);
        Assert.Equal((valid, count - valid), (outcome.Figures.Queries, outcome.Figures.Skipped));
        Assert.Equal(r1 / valid, outcome.Figures.R1, 1e-12);
        Assert.Equal(map / valid, outcome.Figures.Map, 1e-12);
        Assert.Equal(chance / valid, outcome.Chance.Map, 1e-12);
        Assert.Contains("its own camera removed", outcome.Figures.Protocol.Replace("the query's own identity under ", ""));
    }

    [Fact]
    public void Without_cameras_only_the_query_itself_is_removed()
    {
        var (values, ids, _) = Sample(50);
        var outcome = ImageReid.Evaluate(new Embeddings(values, ids, Dim), null, "test split");
        var each = ImageReid.Evaluate(new Embeddings(values, ids, Dim), [.. Enumerable.Range(100, 50)], "test split");
        Assert.Equal(each.Figures with { Protocol = "" }, outcome.Figures with { Protocol = "" });
        Assert.Contains("each picture a camera of its own", outcome.Figures.Protocol);
        // Were the query itself still there, every one would find itself first.
        Assert.True(outcome.Figures.R1 < 0.9);
        var twins = ImageReid.Evaluate(new Embeddings([.. values, .. values], [.. ids, .. ids], Dim), null, "twins");
        Assert.Equal(1, twins.Figures.R1);
    }

    [Fact]
    public void A_world_knows_its_cameras()
    {
        var root = Path.Combine(Path.GetTempPath(), "plip-cameras-" + Guid.NewGuid().ToString("N"));
        try
        {
            var options = new WorldOptions { Identities = 4, TestIdentities = 2, ImagesPerIdentity = 3, Height = 64, Threads = 1 };
            WorldWriter.Make(options, root);
            var test = PersonDataset.Load(root, split: "test");
            var world = new World(options);
            Assert.Equal([.. from identity in new[] { 2, 3 } from i in Enumerable.Range(0, 3) select world.Render(identity, i).Camera.Camera], ImageReid.Cameras(test)!);

            File.WriteAllText(Path.Combine(root, "garments.json"), "[{\"file_path\": \"x.jpg\", \"camera\": 1}]");
            Assert.Contains("does not have", Assert.Throws<DataException>(() => ImageReid.Cameras(test)).Message);
            File.WriteAllText(Path.Combine(root, "garments.json"), "[{\"file_path\": \"x.jpg\"");
            Assert.Contains("garments.json", Assert.Throws<DataException>(() => ImageReid.Cameras(test)).Message);
            File.Delete(Path.Combine(root, "garments.json"));
            Assert.Null(ImageReid.Cameras(test));
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }

    [Fact]
    public void Cameras_must_be_as_many_as_pictures()
    {
        var (values, ids, cameras) = Sample(10);
        Assert.Throws<ArgumentException>(() => ImageReid.Evaluate(new Embeddings(values, ids, Dim), cameras[..9], "x"));
        Assert.Throws<ArgumentException>(() => Retrieval.Evaluate(values, ids, Dim, [new GalleryChunk(values, ids)], new RetrievalOptions { QueryCameras = cameras }));
        Assert.Throws<ArgumentException>(() => Retrieval.Evaluate(values, ids, Dim, [new GalleryChunk(values, ids, cameras)], new RetrievalOptions { QueryCameras = cameras[..3] }));
    }
}
