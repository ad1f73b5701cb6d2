namespace Plip.Engine;

// A counter that lives with the model, such as the batches that a batch norm has seen.
//   n += 1, outside the tape
// Cost: a launch; the host is not asked, so a step does not wait for it.
public static partial class Ops
{
    /// <summary>Adds one to an I64 scalar, unrecorded.</summary>
    internal static void Increment(Tensor counter)
    {
        Require.Type(counter, DType.I64);
        Require.That(counter.Count == 1, $"expected a counter, got shape {counter.Shape}");
        counter.Device.Run(DType.F32, new IncrementKernel(counter));
    }
}

file readonly unsafe struct IncrementKernel(Tensor counter) : IKernel
{
    public Work Work => Work.On("increment", 0, counter, counter);

    public void Run(CudaDevice gpu, DType type) => gpu.Launch("counter", "increment", [], Launch.Grid(1).Of(1), counter);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => ++*(long*)counter.Address;
}
