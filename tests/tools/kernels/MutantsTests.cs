using Plip.Tool;
using Xunit;

namespace Plip.Tests.Tools;

public sealed class MutantsTests
{
    private const string Text = """
        // softmax.cu: __syncthreads(); in a comment is none
        #include "warp.cuh"
        __device__ __forceinline__ float shared(float v) { // a helper
            __syncthreads();
            return v;
        }
        extern "C" __global__ void __launch_bounds__(256, 2) softmax(float* y) {
            cp_async_wait<0>();
            if (y) __syncwarp(0xffffffff);
            cp_async_commit();  __syncthreads (); // both on a line
        }
        """;

    [Fact]
    public void Each_barrier_and_wait_is_taken_out_once()
    {
        var mutants = Mutants.Of("softmax.cu", Text).ToList();
        Assert.Equal(
            ["softmax.cu: shared: 1", "softmax.cu: softmax: 1", "softmax.cu: softmax: 2", "softmax.cu: softmax: 3", "softmax.cu: softmax: 4"],
            mutants.Select(m => m.Name));
        Assert.Equal([4, 8, 9, 10, 10], mutants.Select(m => m.Line));
        Assert.Equal("cp_async_wait<0>();", mutants[1].Statement);
        foreach (var m in mutants)
        {
            Assert.Equal(Text.Length - m.Statement.Length + 1, m.Text.Length);
            Assert.Equal(4, Mutants.Of("softmax.cu", m.Text).Count());
        }
        Assert.Contains("if (y) ;\n", mutants[2].Text.ReplaceLineEndings("\n"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_headers_function_reaches_the_kernels_that_call_it_through_another()
    {
        var folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            Directory.CreateDirectory(Path.Combine(folder, "common"));
            File.WriteAllText(Path.Combine(folder, "common", "a.cuh"), "__device__ float sum(float v) { __syncthreads(); return v; }\n__device__ float max(float v) { return v; }\n");
            File.WriteAllText(Path.Combine(folder, "common", "b.cuh"), "#include \"a.cuh\"\ntemplate <int N> __device__ float team_sum(float v) { return sum(v); }\n");
            File.WriteAllText(Path.Combine(folder, "direct.cu"), "#include \"a.cuh\"\nextern \"C\" __global__ void direct(float* y) { *y = sum(*y); }\n");
            File.WriteAllText(Path.Combine(folder, "through.cu"), "#include \"b.cuh\"\nextern \"C\" __global__ void through(float* y) { *y = team_sum<32>(*y); }\n");
            File.WriteAllText(Path.Combine(folder, "neither.cu"), "#include \"b.cuh\"\nextern \"C\" __global__ void neither(float* y) { *y = max(*y); /* team_ */ } // sum(x)\n");
            File.WriteAllText(Path.Combine(folder, "namesake.cu"), "__device__ float sum(float v) { return v; }\nextern \"C\" __global__ void namesake(float* y) { *y = sum(*y); }\n");
            Assert.Equal(["direct", "through"], Mutants.UsersOf(folder, "common/a.cuh", "sum"));
            Assert.Equal(["common/a.cuh: sum: 1"], Mutants.Of(folder).Select(m => m.Name));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [InlineData("a.cu: f: 1", "expected")]
    [InlineData("a.cu: f: 1: ", "expected")]
    [InlineData("a.cu: f: 1: once\na.cu: f: 1: twice", "already")]
    public void A_list_of_equivalents_that_cannot_be_meant_is_refused(string text, string said)
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, "# for readers\n\nb.cu: g: 2: a reason: with a colon\n" + text);
            Assert.Contains(said, Assert.Throws<InvalidDataException>(() => Equivalents.Read(path)).Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
