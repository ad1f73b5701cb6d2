namespace Plip.Engine;

// Convolution of NHWC pictures with RSCK filters, and its transpose.
//   forward    y[n,i,j,k] = b[k] + Σ_{r,s,c} x[n, i·t+r−p, j·t+s−p, c] · w[r,s,c,k]        (stride t, padding p)
//   backward   dx = the transposed convolution of dy with w;  dw[r,s,c,k] = Σ_{n,i,j} x[…]·dy[n,i,j,k];  db = Σ dy
//   transposed y = the data gradient of that convolution: (N,Hi,Wi,K) → (N,Ho,Wo,C), Ho = (Hi−1)·t − 2p + R + extra
//   saved      x, w (no copies, no im2col)
// Cost: 2·N·Ho·Wo·K·R·S·C flops each way; the CPU's loops are engine/devices/cpu/Convolution.cs.
public static partial class Ops
{
    /// <summary>2-D convolution. x (N, H, W, C), weight (R, S, C, K), bias (K) or null; result (N, Ho, Wo, K),
    /// Ho = ⌊(H + 2·padding − R)/stride⌋ + 1. F32.</summary>
    /// <exception cref="ArgumentException">Channels do not fit, or the filter is larger than the padded picture.</exception>
    public static Tensor Conv2d(Tensor x, Tensor weight, Tensor? bias = null, int stride = 1, int padding = 0)
    {
        Require.Rank(x, 4, "pictures (N, H, W, C)");
        Require.Rank(weight, 4, "filters (R, S, C, K)");
        Require.That(weight.Shape[2] == x.Cols, $"pictures {x.Shape} have {x.Cols} channels, filters {weight.Shape} take {weight.Shape[2]}");
        var (r, q, k) = (weight.Shape[0], weight.Shape[1], weight.Shape[3]);
        var (ho, wo) = (x.Shape[1] + 2 * padding - r, x.Shape[2] + 2 * padding - q);
        Require.That(stride >= 1 && padding >= 0 && ho >= 0 && wo >= 0, $"filters {weight.Shape} with padding {padding} do not fit pictures {x.Shape}");
        var s = new ConvShape(x.Shape[0], x.Shape[1], x.Shape[2], x.Cols, r, q, k, stride, padding, ho / stride + 1, wo / stride + 1);
        Require.That(bias == null || bias.Count == k, $"expected a bias of {k}, got {bias?.Shape}");
        var y = Tensor.Empty(x.Device, new Shape(s.N, s.Ho, s.Wo, k));
        y.Device.Run(cpu: cpu => ConvCpu.Forward(cpu, y, x, weight, bias, s));
        return Tape.Record(y, bias == null ? [x, weight] : [x, weight, bias], dy =>
        {
            Tensor? dx = null, dw = null;
            if (x.NeedsGrad)
            {
                dx = Tensor.Like(x);
                x.Device.Run(cpu: cpu => ConvCpu.DataGradient(cpu, dx, dy, weight, null, s));
            }
            if (weight.NeedsGrad)
            {
                dw = Tensor.Like(weight);
                x.Device.Run(cpu: cpu => ConvCpu.WeightGradient(cpu, dw, x, dy, s));
            }
            return bias == null ? [dx, dw] : [dx, dw, bias.NeedsGrad ? SumRows(dy) : null];
        });
    }

    /// <summary>Transposed 2-D convolution. x (N, Hi, Wi, K), weight (R, S, C, K), bias (C) or null; result (N, Ho, Wo, C),
    /// Ho = (Hi − 1)·stride − 2·padding + R + outputPadding. PyTorch's weight (K, C, R, S) in the kernels' order. F32.</summary>
    /// <exception cref="ArgumentException">Channels do not fit, or outputPadding is not below the stride.</exception>
    public static Tensor ConvTranspose2d(Tensor x, Tensor weight, Tensor? bias = null, int stride = 1, int padding = 0, int outputPadding = 0)
    {
        Require.Rank(x, 4, "pictures (N, H, W, K)");
        Require.Rank(weight, 4, "filters (R, S, C, K)");
        Require.That(weight.Shape[3] == x.Cols, $"pictures {x.Shape} have {x.Cols} channels, filters {weight.Shape} take {weight.Shape[3]}");
        Require.That(outputPadding >= 0 && outputPadding < stride, $"expected 0 ≤ outputPadding < stride, got {outputPadding} and {stride}");
        var (r, q, c) = (weight.Shape[0], weight.Shape[1], weight.Shape[2]);
        var (ho, wo) = ((x.Shape[1] - 1) * stride - 2 * padding + r + outputPadding, (x.Shape[2] - 1) * stride - 2 * padding + q + outputPadding);
        Require.That(ho > 0 && wo > 0, $"filters {weight.Shape} with padding {padding} leave nothing of pictures {x.Shape}");
        Require.That(bias == null || bias.Count == c, $"expected a bias of {c}, got {bias?.Shape}");
        // The convolution whose data gradient this is: it maps the result's shape to x's.
        var s = new ConvShape(x.Shape[0], ho, wo, c, r, q, x.Cols, stride, padding, x.Shape[1], x.Shape[2]);
        var y = Tensor.Empty(x.Device, new Shape(s.N, ho, wo, c));
        y.Device.Run(cpu: cpu => ConvCpu.DataGradient(cpu, y, x, weight, bias, s));
        return Tape.Record(y, bias == null ? [x, weight] : [x, weight, bias], dy =>
        {
            Tensor? dx = null, dw = null;
            if (x.NeedsGrad)
            {
                dx = Tensor.Like(x);
                x.Device.Run(cpu: cpu => ConvCpu.Forward(cpu, dx, dy, weight, null, s));
            }
            if (weight.NeedsGrad)
            {
                dw = Tensor.Like(weight);
                x.Device.Run(cpu: cpu => ConvCpu.WeightGradient(cpu, dw, dy, x, s));
            }
            return bias == null ? [dx, dw] : [dx, dw, bias.NeedsGrad ? SumRows(dy) : null];
        });
    }
}

file static unsafe class ConvCpu
{
    public static void Forward(CpuDevice cpu, Tensor y, Tensor x, Tensor w, Tensor? bias, ConvShape s) =>
        Convolution.Forward(cpu, x.F32, s, w.F32, bias == null ? null : bias.F32, y.F32);

    public static void DataGradient(CpuDevice cpu, Tensor dx, Tensor dy, Tensor w, Tensor? bias, ConvShape s) =>
        Convolution.DataGradient(cpu, dy.F32, s, w.F32, bias == null ? null : bias.F32, dx.F32);

    public static void WeightGradient(CpuDevice cpu, Tensor dw, Tensor x, Tensor dy, ConvShape s) =>
        Convolution.WeightGradient(cpu, x.F32, s, dy.F32, dw.F32);
}
