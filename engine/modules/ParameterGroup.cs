namespace Plip.Engine;

/// <summary>Parameters that are trained alike. A parameter belongs to the first group whose predicate takes it.</summary>
/// <param name="Name">For messages and logs.</param>
/// <param name="Takes">Decides by name (<see cref="Parameter.Name"/>), rank or shape.</param>
public sealed record ParameterGroup(string Name, Func<Parameter, bool> Takes)
{
    /// <summary>Factor on the schedule's learning rate; the paper trains BERT at 0.1.</summary>
    public float LrScale { get; init; } = 1f;

    /// <summary>Decoupled weight decay; null takes the optimiser's default.</summary>
    public float? WeightDecay { get; init; }

    /// <summary>No gradient is computed or stored, and no optimiser touches it.</summary>
    public bool Frozen { get; init; }

    /// <summary>One group of everything.</summary>
    public static ParameterGroup All { get; } = new("all", _ => true);
}

/// <summary>The range of the flat buffers that a group's trainable parameters fill, in elements.</summary>
/// <param name="Group">The group.</param>
/// <param name="Offset">First element; a multiple of 16.</param>
/// <param name="Count">Elements, including the zeros that align each parameter to 64 bytes.</param>
public readonly record struct FlatRange(ParameterGroup Group, long Offset, long Count);
