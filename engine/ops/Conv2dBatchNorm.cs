namespace Plip.Engine;

// A convolution and the batch norm behind it, as one op on the outside and two on the tape.
//   forward   BatchNorm(Conv2d(x, w)); y's own statistics are taken where it is made
//   backward  those of the two ops: dy's sums are one pass, dz and the gradients of the convolution follow
//   saved     what the two ops save
// Cost: on a GPU, in training and stored in two bytes, batch norm's pass over the convolution's result goes away (kernels/conv2d_mma.cu leaves each
// tile's moments: 2·K floats for 64 or 128 pixels, 3 to 6 % of what it would read). 1×1 filters: MmaConvolution.LeavesMoments. Elsewhere the two ops.
public static partial class Ops
{
    /// <summary>
    /// Batch norm of a convolution without bias, optionally followed by + residual and relu. The same as
    /// <c>BatchNorm(Conv2d(x, weight, null, stride, padding), gamma, beta, groups, …)</c>, in a pass less where the device has one.
    /// </summary>
    /// <param name="x">Pictures (N, H, W, C), the first N/G of the first group.</param>
    /// <param name="weight">Filters (R, S, C, K), stored as x is.</param>
    /// <param name="gamma">Scale (K), F32.</param>
    /// <param name="beta">Shift (K), F32.</param>
    /// <param name="groups">Running statistics of each group of pictures, as for <see cref="BatchNorm(Tensor, Tensor, Tensor, RunningStatistics[], bool, bool, float, float, bool, Tensor?)"/>.</param>
    /// <param name="training">Use the batch's statistics; false uses the running ones.</param>
    /// <param name="stride">Of the convolution.</param>
    /// <param name="padding">Of the convolution.</param>
    /// <param name="updateRunning">False, in training, leaves the running statistics as they are.</param>
    /// <param name="momentum">Weight of this batch in the running statistics.</param>
    /// <param name="eps">Added to the variance.</param>
    /// <param name="relu">Apply max(·, 0) last.</param>
    /// <param name="residual">Added before relu, the shape of the result; null for none.</param>
    /// <exception cref="ArgumentException">As the two ops.</exception>
    public static Tensor Conv2dBatchNorm(
        Tensor x, Tensor weight, Tensor gamma, Tensor beta, RunningStatistics[] groups, bool training, int stride = 1, int padding = 0,
        bool updateRunning = true, float momentum = 0.1f, float eps = 1e-5f, bool relu = false, Tensor? residual = null)
    {
        var s = Geometry(x, weight, null, stride, padding, nameof(Conv2dBatchNorm));
        BlockMoments? moments = training && MmaConvolution.LeavesMoments(x, weight, s, groups.Length) ? MmaConvolution.NewMoments(x, s, groups.Length) : null;
        return Normalize(Convolve(x, weight, null, s, moments), moments, gamma, beta, groups, training, updateRunning, momentum, eps, relu, residual, nameof(BatchNorm));
    }
}
