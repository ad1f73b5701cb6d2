using Plip.Engine;
using Plip.Evaluation;
using Xunit;

namespace Plip.Tests.Evaluation;

public class RetrievalTests
{
    // An independent reading of METRICS: all scores in F64, a stable sort, sums over the sorted list.
    private static (double R1, double R5, double R10, double Map, double Trap, double Inp, int Valid, int[][] Orders) Oracle(float[] queries, int[] queryIds, float[] gallery, int[] galleryIds, int dim)
    {
        double Norm(float[] x, int row) => Math.Sqrt(Enumerable.Range(0, dim).Sum(i => (double)x[row * dim + i] * x[row * dim + i]));
        double Cosine(int q, int g)
        {
            double dot = 0;
            for (var i = 0; i < dim; i++) dot += (double)queries[q * dim + i] * gallery[g * dim + i];
            var norms = Norm(queries, q) * Norm(gallery, g);
            return norms > 0 ? dot / norms : 0;
        }
        var sums = new double[6];
        var valid = 0;
        var orders = new int[queryIds.Length][];
        for (var q = 0; q < queryIds.Length; q++)
        {
            var scores = Enumerable.Range(0, galleryIds.Length).Select(g => Cosine(q, g)).ToArray();
            var order = Enumerable.Range(0, galleryIds.Length).OrderByDescending(g => scores[g]).ToArray(); // LINQ's sort is stable
            orders[q] = order;
            var hits = order.Select(g => galleryIds[g] == queryIds[q]).ToArray();
            if (!hits.Any(h => h)) continue;
            valid++;
            for (var k = 0; k < 3; k++) sums[k] += hits.Take(new[] { 1, 5, 10 }[k]).Any(h => h) ? 1 : 0;
            double precision = 0, area = 0, recall = 0, before = 1;
            int seen = 0, total = hits.Count(h => h), last = 0;
            for (var r = 1; r <= hits.Length; r++)
            {
                if (hits[r - 1])
                {
                    seen++;
                    last = r;
                    precision += (double)seen / r;
                    area += ((double)seen / total - recall) * (before + (double)seen / r) / 2;
                    recall = (double)seen / total;
                }
                before = (double)seen / r;
            }
            sums[3] += precision / total;
            sums[4] += area;
            sums[5] += (double)total / last;
        }
        return (sums[0] / valid, sums[1] / valid, sums[2] / valid, sums[3] / valid, sums[4] / valid, sums[5] / valid, valid, orders);
    }

    private static float[] Normal(int count, uint stream)
    {
        var random = new Philox(11, stream);
        return [.. Enumerable.Range(0, count).Select(i => random.Normal((ulong)i))];
    }

    // Sixteen entries of ±1 among the dimensions: the norm is exactly 4 and every cosine exact in F32, so ties are true ties.
    private static float[] Ties(int rows, int dim, uint stream)
    {
        var values = new float[rows * dim];
        for (var r = 0; r < rows; r++)
        {
            var random = new Philox(5, stream, (uint)r);
            for (var i = 0; i < 16; i++) values[r * dim + i] = random.Next((ulong)i, 2) == 0 ? -1 : 1;
        }
        return values;
    }

    // Ragged identities: identity i has about i mod 7 members, and some of either side have none on the other.
    private static int[] Ids(int rows, int people, uint stream)
    {
        var random = new Philox(23, stream);
        return [.. Enumerable.Range(0, rows).Select(i => random.Next((ulong)(2 * i), people) % (1 + random.Next((ulong)(2 * i + 1), people)))];
    }

    [Theory]
    [InlineData(1, 1, 1, 1)]
    [InlineData(5, 3, 7, 2)]
    [InlineData(37, 211, 33, 40)]
    [InlineData(64, 130, 16, 9)]
    public void Figures_are_those_of_a_full_sort_in_double(int queries, int gallery, int dim, int people)
    {
        var (q, g) = (Normal(queries * dim, 1), Normal(gallery * dim, 2));
        var (qIds, gIds) = (Ids(queries, people, 3), Ids(gallery, people, 4));
        AssertEqualsOracle(q, qIds, g, gIds, dim);
    }

    [Theory]
    [InlineData(40, 300, 16, 12)]
    [InlineData(33, 257, 21, 5)]
    public void True_ties_go_to_the_lower_gallery_index(int queries, int gallery, int dim, int people)
    {
        var (q, g) = (Ties(queries, dim, 1), Ties(gallery, dim, 2));
        var scores = Enumerable.Range(0, gallery).Select(r => Enumerable.Range(0, dim).Sum(i => q[i] * g[r * dim + i])).Distinct().Count();
        Assert.True(scores < 17); // hundreds of items share a dozen scores
        AssertEqualsOracle(q, Ids(queries, people, 3), g, Ids(gallery, people, 4), dim);
    }

    private static void AssertEqualsOracle(float[] q, int[] qIds, float[] g, int[] gIds, int dim)
    {
        var expected = Oracle(q, qIds, g, gIds, dim);
        var sample = RetrievalOptions.EveryKth(qIds.Length, 3, 100);
        var outcome = Retrieval.Evaluate(q, qIds, g, gIds, dim, new RetrievalOptions { Samples = sample });
        var f = outcome.Figures;
        Assert.Equal((expected.Valid, gIds.Length, qIds.Length - expected.Valid), (f.Queries, f.Gallery, f.Skipped));
        if (expected.Valid > 0) // the same ranks, so only the order of F64 sums may differ
        {
            Assert.Equal(expected.R1, f.R1, 1e-12);
            Assert.Equal(expected.R5, f.R5, 1e-12);
            Assert.Equal(expected.R10, f.R10, 1e-12);
            Assert.Equal(expected.Map, f.Map, 1e-12);
            Assert.Equal(expected.Trap, f.MapTrap, 1e-12);
            Assert.Equal(expected.Inp, f.Minp, 1e-12);
            Assert.True(f.MapTrap <= f.Map);
        }
        foreach (var ranking in outcome.Samples)
        {
            Assert.Equal(expected.Orders[ranking.Query].Take(10), ranking.Gallery);
            Assert.Equal(ranking.Gallery.Select(i => gIds[i] == qIds[ranking.Query]), ranking.Relevant);
            Assert.Equal(1 + Array.FindIndex(expected.Orders[ranking.Query], i => gIds[i] == qIds[ranking.Query]), ranking.FirstRelevantRank);
        }
    }

    [Fact]
    public void Chunks_and_threads_do_not_change_a_bit()
    {
        const int dim = 24, queries = 50, gallery = 5000; // more rows than are held at once
        var (q, g) = (Normal(queries * dim, 5), Normal(gallery * dim, 6));
        var (qIds, gIds) = (Ids(queries, 60, 7), Ids(gallery, 60, 8));
        var options = new RetrievalOptions { Samples = [0, 7, 49], MaxThreads = 1 };
        var whole = Retrieval.Evaluate(q, qIds, g, gIds, dim, options);
        foreach (var (chunk, threads) in new[] { (1, 2), (3, 1), (17, 5), (1000, 2), (4999, -1), (5000, 4) })
        {
            var pieces = Enumerable.Range(0, (gallery + chunk - 1) / chunk).Select(i => new GalleryChunk(
                g.AsMemory(i * chunk * dim, Math.Min(chunk, gallery - i * chunk) * dim), gIds.AsMemory(i * chunk, Math.Min(chunk, gallery - i * chunk))));
            var streamed = Retrieval.Evaluate(q, qIds, dim, pieces, options with { MaxThreads = threads });
            Assert.Equal(whole.Figures, streamed.Figures);
            Assert.Equal(whole.Chance, streamed.Chance);
            foreach (var (a, b) in whole.Samples.Zip(streamed.Samples))
            {
                Assert.Equal(a.Gallery, b.Gallery);
                Assert.Equal(a.Scores, b.Scores);
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(16)]
    [InlineData(33)]
    [InlineData(768)]
    public void A_tile_has_the_bits_of_single_products(int dim)
    {
        var padded = Similarity.Padded(dim);
        var (q, g) = (new float[2 * padded], new float[4 * padded]);
        Similarity.Normalise(Normal(2 * dim, 9), dim, q, 2, "query", 0, new ParallelOptions());
        Similarity.Normalise(Normal(4 * dim, 10), dim, g, 4, "gallery", 0, new ParallelOptions());
        var tile = new float[8];
        Similarity.Tile(q, g, padded, tile);
        for (var i = 0; i < 2; i++)
            for (var j = 0; j < 4; j++)
            {
                var one = Similarity.Dot(q.AsSpan(i * padded, padded), g.AsSpan(j * padded, padded));
                Assert.Equal(BitConverter.SingleToInt32Bits(one), BitConverter.SingleToInt32Bits(tile[4 * i + j]));
                Assert.Equal(Enumerable.Range(0, dim).Sum(k => (double)q[i * padded + k] * g[j * padded + k]), one, 1e-6); // 768 F32 additions of unit vectors
            }
    }

    [Fact]
    public void The_length_of_a_vector_does_not_matter_and_a_zero_vector_scores_zero()
    {
        float[] gallery = [0, 2, 0, 0, 300, 1e-20f]; // second: zero; third: along x
        var outcome = Retrieval.Evaluate(new float[] { 1e-3f, 0 }, new[] { 7 }, gallery, new[] { 1, 2, 7 }, 2, new RetrievalOptions { Samples = [0] });
        Assert.Equal([2, 0, 1], outcome.Samples[0].Gallery);
        Assert.Equal([1f, 0f, 0f], outcome.Samples[0].Scores);
        Assert.Equal(1, outcome.Figures.Map);
    }

    [Fact]
    public void Queries_without_a_relevant_item_are_skipped_and_counted()
    {
        var outcome = Retrieval.Evaluate(new float[] { 1, 0, 0, 1 }, new[] { 1, 99 }, new float[] { 1, 1 }, new[] { 1 }, 2);
        Assert.Equal((1, 1, 1.0), (outcome.Figures.Queries, outcome.Figures.Skipped, outcome.Figures.R1));
        Assert.Contains("1 queries without a relevant item skipped", outcome.Figures.Protocol);
        var none = Retrieval.Evaluate(new float[] { 1 }, new[] { 3 }, new float[] { 1 }, new[] { 4 }, 1).Figures;
        Assert.Equal((0, 1, 0.0), (none.Queries, none.Skipped, none.Map));
    }

    [Fact]
    public void Nothing_to_search_or_to_search_for_gives_zeros()
    {
        var empty = Retrieval.Evaluate(new float[] { 1, 0 }, new[] { 1 }, 2, [], new RetrievalOptions { Samples = [0] });
        Assert.Equal((0, 0, 1, 0.0), (empty.Figures.Queries, empty.Figures.Gallery, empty.Figures.Skipped, empty.Figures.Map));
        Assert.Empty(empty.Samples[0].Gallery);
        var mute = Retrieval.Evaluate(Array.Empty<float>(), Array.Empty<int>(), new float[] { 1, 0 }, new[] { 1 }, 2).Figures;
        Assert.Equal((0, 1, 0, 0.0), (mute.Queries, mute.Gallery, mute.Skipped, mute.R1));
    }

    [Fact]
    public void A_gallery_that_changes_between_the_passes_is_noticed()
    {
        var pass = 0;
        IEnumerable<GalleryChunk> Changing()
        {
            pass++;
            yield return new GalleryChunk(new float[] { 0, 1, pass == 1 ? 0.5f : 0.6f, 1 }, new[] { 1, 1 });
        }
        IEnumerable<GalleryChunk> Shrinking()
        {
            pass++;
            for (var i = 0; i < 4 - pass; i++) yield return new GalleryChunk(new float[] { 1, 0 }, new[] { 5 });
        }
        var changed = Assert.Throws<InvalidOperationException>(() => Retrieval.Evaluate(new float[] { 0, 1 }, new[] { 1 }, 2, Changing()));
        Assert.Contains("differs between the two passes", changed.Message);
        pass = 0;
        Assert.Contains("the second time", Assert.Throws<InvalidOperationException>(() => Retrieval.Evaluate(new float[] { 0, 1 }, new[] { 1 }, 2, Shrinking())).Message);
    }

    [Fact]
    public void Bad_input_names_its_place()
    {
        var nan = Assert.Throws<ArgumentException>(() => Retrieval.Evaluate(new float[] { 1, 0 }, new[] { 1 }, new float[] { 1, 0, 0, float.NaN }, new[] { 1, 2 }, 2));
        Assert.Contains("Row 1 of the gallery", nan.Message);
        Assert.Contains("need 4", Assert.Throws<ArgumentException>(() => Retrieval.Evaluate(new float[3], new[] { 1, 2 }, new float[2], new[] { 1 }, 2)).Message);
        Assert.Throws<ArgumentException>(() => Retrieval.Evaluate(new float[2], new[] { 1 }, new float[2], new[] { 1 }, 2, new RetrievalOptions { Samples = [1] }));
    }
}
