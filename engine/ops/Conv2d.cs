namespace Plip.Engine;

// Convolution of NHWC pictures with RSCK filters, and its transpose.
//   forward    y[n,i,j,k] = [relu] b[k] + Σ_{r,s,c} x[n, i·t+r−p, j·t+s−p, c] · w[r,s,c,k]        (stride t, padding p)
//   backward   dx = the transposed convolution of dy with w;  dw[r,s,c,k] = Σ_{n,i,j} x[…]·dy[n,i,j,k];  db = Σ dy
//   transposed y = the data gradient of that convolution: (N,Hi,Wi,K) → (N,Ho,Wo,C), Ho = (Hi−1)·t − 2p + R + extra
//   relu       a pass of its own, but on tensor cores, which clamp what they write; dz = dy where y > 0 then goes in dy's place
//   saved      x, w (no copies, no im2col)
// Cost: 2·N·Ho·Wo·K·R·S·C flops each way; the CPU's loops are engine/devices/cpu/Convolution.cs. On a GPU 1×1 filters at stride 1 are
// cuBLASLt's products; the rest is kernels/conv2d_mma*.cu where pictures are stored in two bytes, and kernels/conv2d.cu.
public static partial class Ops
{
    /// <summary>2-D convolution. x (N, H, W, C), weight (R, S, C, K), bias (K) or null; result (N, Ho, Wo, K),
    /// Ho = ⌊(H + 2·padding − R)/stride⌋ + 1, then max(0, ·) where asked. Pictures and filters both F32 or both BF16; the bias and gradients of filters
    /// are F32.</summary>
    /// <exception cref="ArgumentException">Channels do not fit, or the filter is larger than the padded picture.</exception>
    public static Tensor Conv2d(Tensor x, Tensor weight, Tensor? bias = null, int stride = 1, int padding = 0, bool relu = false)
    {
        var s = Geometry(x, weight, bias, stride, padding, nameof(Conv2d));
        var fused = relu && !s.IsPointwise && x.Device is CudaDevice && MmaConvolution.TakesForward(x.DType, x, weight, s);
        var y = Convolve(x, weight, bias, s, null, fused);
        return relu && !fused ? Relu(y) : y;
    }

    /// <summary>Shapes of a convolution, once they are found to fit.</summary>
    internal static ConvShape Geometry(Tensor x, Tensor weight, Tensor? bias, int stride, int padding, string op)
    {
        Require.Rank(x, 4, "pictures (N, H, W, C)", op);
        Require.Rank(weight, 4, "filters (R, S, C, K)", op);
        Require.That(weight.Shape[2] == x.Cols, $"pictures {x.Shape} have {x.Cols} channels, filters {weight.Shape} take {weight.Shape[2]}", op);
        var (r, q, k) = (weight.Shape[0], weight.Shape[1], weight.Shape[3]);
        var (ho, wo) = (x.Shape[1] + 2 * padding - r, x.Shape[2] + 2 * padding - q);
        Require.That(stride >= 1 && padding >= 0 && ho >= 0 && wo >= 0, $"filters {weight.Shape} with padding {padding} do not fit pictures {x.Shape}", op);
        Require.That(bias == null || bias.Count == k, $"expected a bias of {k}, got {bias?.Shape}", op);
        return new ConvShape(x.Shape[0], x.Shape[1], x.Shape[2], x.Cols, r, q, k, stride, padding, ho / stride + 1, wo / stride + 1);
    }

    /// <summary>The convolution; where <paramref name="moments"/> or <paramref name="relu"/> are given, which is for tensor cores alone, in one pass.</summary>
    private static Tensor Convolve(Tensor x, Tensor weight, Tensor? bias, ConvShape s, BlockMoments? moments, bool relu = false)
    {
        var y = Tensor.Empty(x.Device, new Shape(s.N, s.Ho, s.Wo, s.K), x.DType, nameof(Conv2d));
        y.Device.Run(x.DType, new ConvForward(y, x, weight, bias, s, "conv2d", moments, relu));
        return Tape.Record(y, bias == null ? [x, weight] : [x, weight, bias], dy =>
        {
            var dz = relu ? ReluGradient(dy, y) : dy;
            Tensor? dx = null, dw = null;
            if (x.NeedsGrad)
            {
                dx = Tensor.Like(x, nameof(Conv2d));
                x.Device.Run(x.DType, new ConvDataGradient(dx, dz, weight, null, s, "conv2d_data_gradient"));
            }
            if (weight.NeedsGrad)
            {
                dw = Tensor.Empty(weight.Device, weight.Shape, DType.F32, nameof(Conv2d)); // F32, however the weights are stored
                x.Device.Run(x.DType, new ConvWeightGradient(dw, x, dz, s, "conv2d_weight_gradient"));
            }
            var db = bias is { NeedsGrad: true } ? SumRows(dz) : null;
            if (relu) dz.Release();
            return bias == null ? [dx, dw] : [dx, dw, db];
        }, null, nameof(Conv2d));
    }

    /// <summary>Transposed 2-D convolution. x (N, Hi, Wi, K), weight (R, S, C, K), bias (C) or null; result (N, Ho, Wo, C),
    /// Ho = (Hi − 1)·stride − 2·padding + R + outputPadding. PyTorch's weight (K, C, R, S) in the kernels' order. Relu and types as for <see cref="Conv2d"/>.</summary>
    /// <exception cref="ArgumentException">Channels do not fit, or outputPadding is not below the stride.</exception>
    public static Tensor ConvTranspose2d(Tensor x, Tensor weight, Tensor? bias = null, int stride = 1, int padding = 0, int outputPadding = 0, bool relu = false)
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
        var y = Tensor.Empty(x.Device, new Shape(s.N, ho, wo, c), x.DType);
        var fused = relu && !s.IsPointwise && x.Device is CudaDevice && MmaConvolution.TakesData(x.DType, x, weight, s);
        y.Device.Run(x.DType, new ConvDataGradient(y, x, weight, bias, s, "conv_transpose2d", fused));
        var recorded = Tape.Record(y, bias == null ? [x, weight] : [x, weight, bias], dy =>
        {
            var dz = fused ? ReluGradient(dy, y) : dy;
            Tensor? dx = null, dw = null;
            if (x.NeedsGrad)
            {
                dx = Tensor.Like(x);
                x.Device.Run(x.DType, new ConvForward(dx, dz, weight, null, s, "conv_transpose2d_data_gradient"));
            }
            if (weight.NeedsGrad)
            {
                dw = Tensor.Empty(weight.Device, weight.Shape); // F32, however the weights are stored
                x.Device.Run(x.DType, new ConvWeightGradient(dw, dz, x, s, "conv_transpose2d_weight_gradient"));
            }
            var db = bias is { NeedsGrad: true } ? SumRows(dz) : null;
            if (fused) dz.Release();
            return bias == null ? [dx, dw] : [dx, dw, db];
        });
        return relu && !fused ? Relu(recorded) : recorded;
    }
}

file readonly unsafe struct ConvForward(Tensor y, Tensor x, Tensor w, Tensor? bias, ConvShape s, string name, BlockMoments? moments = null, bool relu = false) : IKernel
{
    public Work Work => new(name, y.Bytes + x.Bytes + w.Bytes + (moments?.Partial.Bytes ?? 0), s.Flops);

    public void Run(CudaDevice gpu, DType type)
    {
        if (moments is { } wanted) MmaConvolution.Moments(gpu, type, y, wanted, x, w, s);
        else if (s.IsPointwise) CudaConvolution.Product(gpu, type, y, x, w, false, bias, s.Pixels, s.K, s.C);
        else CudaConvolution.Forward(gpu, type, y, x, w, bias, s, relu);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> =>
        Convolution.Forward<V, T>(cpu, x.At<T>(), s, w.At<T>(), bias == null ? null : bias.F32, y.At<T>());
}

file readonly unsafe struct ConvDataGradient(Tensor dx, Tensor dy, Tensor w, Tensor? bias, ConvShape s, string name, bool relu = false) : IKernel
{
    public Work Work => new(name, dx.Bytes + dy.Bytes + w.Bytes, s.Flops);

    public void Run(CudaDevice gpu, DType type)
    {
        if (s.IsPointwise) CudaConvolution.Product(gpu, type, dx, dy, w, true, bias, s.Pixels, s.C, s.K);
        else CudaConvolution.DataGradient(gpu, type, dx, dy, w, bias, s, relu);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> =>
        Convolution.DataGradient<V, T>(cpu, dy.At<T>(), s, w.At<T>(), bias == null ? null : bias.F32, dx.At<T>());
}

file readonly unsafe struct ConvWeightGradient(Tensor dw, Tensor x, Tensor dy, ConvShape s, string name) : IKernel
{
    public Work Work => new(name, dw.Bytes + x.Bytes + dy.Bytes, s.Flops);

    public void Run(CudaDevice gpu, DType type)
    {
        if (s.IsPointwise && s.Pixels > 0) gpu.Gemm.Run(dw, x, dy, true, false, s.C, s.K, s.Pixels);
        else CudaConvolution.WeightGradient(gpu, type, dw, x, dy, s);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => Convolution.WeightGradient<V, T>(cpu, x.At<T>(), s, dy.At<T>(), dw.F32);
}
