namespace Plip.Evaluation;

/// <summary>A file that is not the .npy it should be; the message names the file, the place and what was expected.</summary>
public sealed class NpyException(string message) : FormatException(message);

/// <summary>An array read from or written to a .npy file: row-major values and a shape of one or two axes.</summary>
/// <typeparam name="T">float, int or long.</typeparam>
/// <param name="Values">Row-major.</param>
/// <param name="Shape">(length) or (rows, columns).</param>
public sealed record NpyArray<T>(T[] Values, int[] Shape) where T : unmanaged;
