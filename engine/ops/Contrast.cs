using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Plip.Engine;

/// <summary>
/// What a contrastive loss does with one row of cosines. The row's scores are scale·factor·cosine, where factor is 1 or
/// the row embedding's length.
/// </summary>
internal unsafe interface IContrastRow
{
    /// <summary>
    /// The loss of row i; overwrites its cosines, and zeroes them from n to the next multiple of 16, with the gradient.
    /// </summary>
    /// <param name="i">The row; its pair stands in column i.</param>
    /// <param name="cosines">The row, readable and writable up to the next multiple of 16; what is there from n on has no meaning.</param>
    /// <param name="n">Number of columns.</param>
    /// <param name="identities">Identity of each row and column; null for losses without.</param>
    /// <param name="factor">The row embedding's length, or 1.</param>
    /// <param name="dFactor">Gradient of the row's loss by the factor.</param>
    double Row(int i, float* cosines, int n, int* identities, float factor, out float dFactor);
}

/// <summary>
/// The part the contrastive losses share: cosines of all pairs, a loss by rows (images against texts, and texts against
/// images), and the way back through the products and the normalisation.
/// </summary>
/// <remarks>
///   forward   u = v/|v|, w = t/|t|, C = u·wᵀ; L = 1/N Σᵢ row(C[i,·], |vᵢ| or 1) [+ the same of Cᵀ with |tⱼ|]
///   backward  du = dC·w, dw = dCᵀ·u; dv = (du − u(u·du))/|v| + d|v|·u, and so dt
///   saved     u, w, dC, lengths and their gradients. The loss is a scalar, so dC is worked out with it and only scaled later.
///   care      a zero embedding has no direction: u = 0 and its gradient is 0
/// Cost: one N×N×D product forward, two backward, N² exponentials a few times. N×N floats are held until the backward.
/// </remarks>
internal static class Contrast
{
    public static Tensor Loss<TRow>(Tensor images, Tensor texts, Tensor? identities, TRow row, bool lengths, bool bothWays, string op)
        where TRow : struct, IContrastRow
    {
        Require.Rank(images, 2, "image embeddings (N, D)", op);
        Require.That(images.Shape == texts.Shape, $"expected as many texts as images and the same width, got {images.Shape} and {texts.Shape}", op);
        Require.That(images.Shape[0] > 0, "expected at least one pair", op);
        if (identities != null)
        {
            Require.Type(identities, DType.I32, op);
            Require.That(identities.Count == images.Shape[0], $"expected {images.Shape[0]} identities, got {identities.Shape}", op);
        }
        var (y, n, device) = (Tensor.Empty(images.Device, new Shape(), madeBy: op), images.Shape[0], images.Device);
        var (u, w) = (Tensor.Like(images, op), Tensor.Like(texts, op));
        var cosines = Tensor.Empty(device, new Shape(n, (n + 15) & ~15), madeBy: op);
        var (sizes, dSizes) = (Tensor.Empty(device, new Shape(2, n), madeBy: op), Tensor.Zeros(device, new Shape(2, n), madeBy: op));
        device.Run(cpu: cpu => ContrastCpu.Forward(cpu, y, u, w, cosines, sizes, dSizes, images, texts, identities, row, lengths, bothWays));
        return Tape.Record(y, [images, texts], dy =>
        {
            var dv = images.NeedsGrad ? Tensor.Like(images, op) : null;
            var dt = texts.NeedsGrad ? Tensor.Like(texts, op) : null;
            device.Run(cpu: cpu =>
            {
                if (dv != null) ContrastCpu.Backward(cpu, dv, dy, cosines, false, u, w, sizes, dSizes, 0);
                if (dt != null) ContrastCpu.Backward(cpu, dt, dy, cosines, true, w, u, sizes, dSizes, 1);
            });
            return [dv, dt];
        }, [u, w, cosines, sizes, dSizes], op);
    }
}

file static unsafe class ContrastCpu
{
    private const int RowsPerTask = 8;

    public static void Forward<TRow>(
        CpuDevice cpu, Tensor y, Tensor u, Tensor w, Tensor cosines, Tensor sizes, Tensor dSizes,
        Tensor images, Tensor texts, Tensor? identities, TRow row, bool lengths, bool bothWays)
        where TRow : struct, IContrastRow
    {
        int n = images.Shape[0], d = images.Shape[1], stride = cosines.Cols;
        float* c = cosines.F32, size = sizes.F32, dSize = dSizes.F32;
        var ids = identities == null ? null : identities.I32;
        Normalize(cpu, u, size, images);
        Normalize(cpu, w, size + n, texts);
        Gemm.Run<Vec512, F32, F32, F32>(cpu, false, true, n, n, d, u.At<F32>(), d, w.At<F32>(), d, cosines.At<F32>(), stride);
        var turned = bothWays ? Tensor.Like(cosines) : null;
        if (turned != null) Turn(cpu, turned.F32, c, n, stride, false);
        var total = Rows(cpu, c, size, dSize);
        if (turned != null)
        {
            total += Rows(cpu, turned.F32, size + n, dSize + n);
            Turn(cpu, c, turned.F32, n, stride, true);
            turned.Release();
        }
        *y.F32 = (float)(total / n);

        double Rows(CpuDevice cpu, float* all, float* length, float* dLength)
        {
            var losses = new double[n];
            cpu.ForRange(n, RowsPerTask, (from, to) =>
            {
                for (var i = (int)from; i < to; i++)
                {
                    losses[i] = row.Row(i, all + (nint)i * stride, n, ids, lengths ? length[i] : 1f, out var dFactor);
                    dLength[i] = lengths ? dFactor : 0f;
                }
            });
            double sum = 0;
            foreach (var l in losses) sum += l;
            return sum;
        }
    }

    /// <summary>dx from the gradient of the cosines; <paramref name="own"/> is x's normalised form, the other side's is <paramref name="other"/>.</summary>
    public static void Backward(CpuDevice cpu, Tensor dx, Tensor dy, Tensor dCosines, bool turned, Tensor own, Tensor other, Tensor sizes, Tensor dSizes, int side)
    {
        int n = own.Shape[0], d = own.Shape[1];
        float* pdx = dx.F32, u = own.F32, size = sizes.F32 + (nint)side * n, dSize = dSizes.F32 + (nint)side * n;
        var scale = *dy.F32 / n;
        Gemm.Run<Vec512, F32, F32, F32>(cpu, turned, false, n, d, n, dCosines.At<F32>(), dCosines.Cols, other.At<F32>(), d, dx.At<F32>(), d);
        cpu.ForRange(n, RowsPerTask, (from, to) =>
        {
            for (var i = from; i < to; i++)
            {
                float* g = pdx + i * d, ui = u + i * d;
                var inverse = size[i] > 0 ? scale / size[i] : 0f;
                var along = scale * dSize[i] - inverse * Simd.Dot(g, ui, d);
                var k = 0;
                for (; k <= d - 16; k += 16) (Vector512.Load(g + k) * inverse + Vector512.Load(ui + k) * along).Store(g + k);
                for (; k < d; k++) g[k] = g[k] * inverse + ui[k] * along;
            }
        });
    }

    private static void Normalize(CpuDevice cpu, Tensor u, float* size, Tensor x)
    {
        float* pu = u.F32, px = x.F32;
        var d = x.Cols;
        cpu.ForRange(x.Rows, RowsPerTask, (from, to) =>
        {
            for (var i = from; i < to; i++)
            {
                float* row = px + i * d, o = pu + i * d;
                size[i] = MathF.Sqrt(Simd.SumSquares(row, d));
                var inverse = size[i] > 0 ? 1f / size[i] : 0f;
                var k = 0;
                for (; k <= d - 16; k += 16) (Vector512.Load(row + k) * inverse).Store(o + k);
                for (; k < d; k++) o[k] = row[k] * inverse;
            }
        });
    }

    /// <summary>to = fromᵀ, or to += fromᵀ.</summary>
    private static void Turn(CpuDevice cpu, float* to, float* from, int n, int stride, bool add) =>
        cpu.ForRange(n, 16, (r0, r1) => TurnRows(to, from, (int)r0, (int)r1, n, stride, add));

    /// <remarks>Sixteen columns of the source at a time: each of its cache lines is read once.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TurnRows(float* to, float* from, int r0, int r1, int n, nint stride, bool add)
    {
        for (var j = 0; j < n; j++)
            for (var i = r0; i < r1; i++)
                to[i * stride + j] = from[j * stride + i] + (add ? to[i * stride + j] : 0f);
    }
}
