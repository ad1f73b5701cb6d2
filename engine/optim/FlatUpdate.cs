namespace Plip.Engine;

/// <summary>
/// An update of one range of the flat buffers. What changes from update to update lies in memory of the device (DESIGN 1), so
/// that a captured graph can be replayed with other values.
/// </summary>
/// <param name="Range">The elements.</param>
/// <param name="Constants">The rule's numbers for all ranges, F32.</param>
/// <param name="Slot">Where this range's begin.</param>
/// <param name="Norm">What <see cref="GradientClip"/> left: the F64 norm, the factor, and 1 if finite; null for none.</param>
/// <param name="Refused">I32 (1): where the first range counts updates that were refused; null for the others.</param>
internal readonly unsafe record struct FlatUpdate(FlatRange Range, Tensor Constants, int Slot, Tensor? Norm, Tensor? Refused)
{
    /// <summary>A thread for each four elements: ranges are multiples of 16.</summary>
    public Launch Launch => Launch.PerElement(Range.Count, 4);

    /// <summary>On the CPU: whether the gradient is not finite, so that nothing may be touched; counts it.</summary>
    public bool Refuses()
    {
        if (Norm == null || Norm.F32[3] != 0) return false;
        if (Refused != null) ++*Refused.I32;
        return true;
    }

    /// <summary>On the CPU: the rule's numbers.</summary>
    public T Read<T>() where T : unmanaged => *(T*)(Constants.F32 + Slot);

    /// <summary>On the CPU: a factor on the gradient with the clipping.</summary>
    public float Scaled(float gradScale) => Norm == null ? gradScale : gradScale * Norm.F32[2];
}
