namespace Plip.Text;

/// <summary>
/// A caption or a vocabulary file that cannot be used. The message names the file and line (or shows the caption),
/// says what was expected and what to do.
/// </summary>
/// <param name="message">The whole explanation, fit to be shown to a user as it is.</param>
public sealed class TextException(string message) : FormatException(message);
