using System.Runtime.InteropServices;

namespace Plip.Tool;

/// <summary>Turns Ctrl-C and SIGTERM into a cancellation that lets the work end in order, such as the step finish and the run be saved; a second one ends at once.</summary>
internal sealed class StopSignal : IDisposable
{
    private readonly string _doing;
    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration[] _signals;

    /// <summary>Listens from now on.</summary>
    /// <param name="doing">What is done after the first signal.</param>
    public StopSignal(string doing = "finishing this step and saving")
    {
        _doing = doing;
        _signals =
        [
            PosixSignalRegistration.Create(PosixSignal.SIGINT, Handle),
            PosixSignalRegistration.Create(PosixSignal.SIGTERM, Handle),
        ];
    }

    public CancellationToken Token => _source.Token;

    private void Handle(PosixSignalContext context)
    {
        if (_source.IsCancellationRequested) return; // the second time the default applies: the process ends
        context.Cancel = true;
        Console.Error.WriteLine($"\nplip: {_doing}; press Ctrl-C again to end at once");
        _source.Cancel();
    }

    public void Dispose()
    {
        foreach (var s in _signals) s.Dispose();
        _source.Dispose();
    }
}
