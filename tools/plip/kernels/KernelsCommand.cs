using System.CommandLine;

namespace Plip.Tool;

/// <summary><c>plip kernels</c>: what proves kernels/*.cu.</summary>
internal static class KernelsCommand
{
    public static Command Create() => new("kernels", "Check the CUDA kernels.")
    {
        KernelsCheckCommand.Create(),
        KernelsCompareCommand.Create(),
        KernelsMutateCommand.Create(),
        KernelsRunCommand.Create(),
    };
}
