namespace Plip.Engine;

/// <summary>
/// One block of device memory, shared by the tensors that view it. It goes back to its pool when the last of them is
/// released or when the step that owns it ends, whichever is first; there is no finaliser (DESIGN 2).
/// </summary>
internal sealed class Storage(Device device, nint pointer, long bytes, Step? owner, string madeBy)
{
    public readonly Device Device = device;
    public readonly long Bytes = bytes;
    public readonly string MadeBy = madeBy;

    /// <summary>The step that returns it at its end; null: nobody does.</summary>
    public Step? Owner { get; private set; } = owner;

    /// <summary>Where the owning step keeps this storage, so that dropping it costs O(1).</summary>
    public int StepIndex;

    private nint _pointer = pointer;
    private string? _releasedBy;

    /// <summary>Tensors that view this block.</summary>
    public int Refs { get; private set; } = 1;

    public bool IsReleased => _releasedBy != null;

    public nint Pointer => _releasedBy == null ? _pointer : throw new ObjectDisposedException(
        "Tensor",
        $"a tensor made by {MadeBy} was used after {_releasedBy}. " +
        "Read it earlier, keep it with Keep() before Backward, or copy it out of the step with Persist().");

    public void AddRef() => Refs++;

    /// <summary>From the step that owns it to one around that.</summary>
    public void MoveTo(Step? step)
    {
        if (Owner == null || Owner == step) return;
        Owner.Forget(this);
        Owner = step;
        Owner?.Own(this);
    }

    public void Release(string by)
    {
        if (IsReleased || --Refs > 0) return;
        Free(by);
        Owner?.Forget(this);
    }

    /// <summary>Returns the memory at once, whoever still views it: the step's end.</summary>
    public void Free(string by)
    {
        if (IsReleased) return;
        _releasedBy = by;
        Device.Return(_pointer, Bytes);
        _pointer = 0;
    }
}
