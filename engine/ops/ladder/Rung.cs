namespace Plip.Engine;

/// <summary>
/// An earlier way to do on a GPU what an op does: a kernel of kernels/ladder that is kept to be read, profiled and compared with. Nothing in the
/// engine calls it; <c>plip kernels check</c>, the tests and the benchmark do.
/// </summary>
/// <param name="Op">The op, as the benchmark names it: "attention".</param>
/// <param name="Number">Its place on the ladder, from 1; the kernel that ships stands above the last.</param>
/// <param name="File">The file in kernels/ladder, without ".cu"; in kernels where it ships.</param>
/// <param name="Idea">What it does that the rung below does not, in a few words.</param>
/// <param name="Ships">The engine still calls it, for what the rung above does not take.</param>
internal sealed record Rung(string Op, int Number, string File, string Idea, bool Ships = false)
{
    /// <summary>The file as <see cref="CudaDevice.Launch"/> takes it.</summary>
    public string Source => Ships ? File : "ladder/" + File;

    /// <summary>As the benchmark and the cases call it: "attention rung 2".</summary>
    public string Name => FormattableString.Invariant($"{Op} rung {Number}");
}
