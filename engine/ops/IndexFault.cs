namespace Plip.Engine;

/// <summary>What a number that says where to read can be wrong in; kernels/faults.cu knows them by these values.</summary>
internal enum IndexFaultKind
{
    Id = 1, Index = 2, Label = 3, FirstOffset = 4, FallingOffset = 5, LastOffset = 6, EmptySequence = 7, NoKeys = 8,
}

/// <summary>
/// A number that an op may not use. The CPU throws it where it finds it; a GPU notes it and the program throws it at its next read, in the same words.
/// </summary>
/// <param name="Kind">What is wrong.</param>
/// <param name="Op">Whose input it is.</param>
/// <param name="Position">Its place in the list; a sequence's number.</param>
/// <param name="Value">The number itself.</param>
/// <param name="Limit">How many rows or classes there are.</param>
/// <param name="Other">The offset before it; the label that means "ignore".</param>
internal readonly record struct IndexFault(IndexFaultKind Kind, string Op, int Position, int Value = 0, int Limit = 0, int Other = 0)
{
    public ArgumentException Exception() => new(FormattableString.Invariant(Kind switch
    {
        IndexFaultKind.Id => (FormattableString)$"{Op}: id {Value} at position {Position} is outside 0..{Limit - 1}",
        IndexFaultKind.Index => $"{Op}: index {Value} at position {Position} is outside 0..{Limit - 1}",
        IndexFaultKind.Label => $"{Op}: row {Position} has label {Value}, outside 0..{Limit - 1}; rows to leave out carry {Other}",
        IndexFaultKind.FirstOffset => $"{Op}: the offsets start at {Value}; the first sequence starts at row 0",
        IndexFaultKind.FallingOffset => $"{Op}: the offsets fall from {Other} to {Value} at position {Position}",
        IndexFaultKind.LastOffset => $"{Op}: the offsets end at {Value}, but there are {Limit} rows",
        IndexFaultKind.EmptySequence => $"{Op}: sequence {Position} is empty and has no mean",
        _ => $"{Op}: sequence {Position} has queries but no keys to attend to",
    }));
}
