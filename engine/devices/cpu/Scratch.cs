namespace Plip.Engine;

/// <summary>F32 memory of a kernel's own, from the device's pool; contents are undefined. Dispose it when the kernel is done.</summary>
internal readonly unsafe struct Scratch(Storage storage) : IDisposable
{
    public float* At => (float*)storage.Pointer;

    public void Dispose() => storage.Release("its kernel was done");
}
