namespace Plip.Engine;

/// <summary>
/// Memory of a kernel's own, from the device's pool; contents are undefined. Dispose it when the last kernel that uses it is launched:
/// whoever gets the memory next comes behind it on the stream.
/// </summary>
internal readonly struct CudaScratch(Storage storage) : IDisposable
{
    public nint Address => storage.Pointer;

    public void Dispose() => storage.Release("its kernel was launched");
}
