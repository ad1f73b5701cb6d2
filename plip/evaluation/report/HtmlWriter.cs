using System.Buffers;
using System.Text;

namespace Plip.Evaluation;

/// <summary>
/// Writes markup that is well-formed by construction: every text and attribute is escaped, every element closed, and
/// characters XML cannot hold become U+FFFD.
/// </summary>
internal sealed class HtmlWriter
{
    // What needs no second look: base64 pictures are megabytes of it.
    private static readonly SearchValues<char> Plain = SearchValues.Create(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .,:;+-/=_()%#");

    private readonly StringBuilder _out = new();
    private readonly Stack<string> _open = new();

    /// <summary>Opens an element; dispose what it returns (or call <see cref="Close"/>) to close it.</summary>
    public Element Open(string name, params ReadOnlySpan<(string Name, string Value)> attributes)
    {
        Start(name, attributes);
        _out.Append('>');
        _open.Push(name);
        return new Element(this);
    }

    /// <summary>An element without content.</summary>
    public HtmlWriter Empty(string name, params ReadOnlySpan<(string Name, string Value)> attributes)
    {
        Start(name, attributes);
        _out.Append("/>");
        return this;
    }

    /// <summary>An element that holds only text; written even where the text is empty.</summary>
    public HtmlWriter Leaf(string name, string text, params ReadOnlySpan<(string Name, string Value)> attributes)
    {
        using (Open(name, attributes)) Text(text);
        return this;
    }

    /// <summary>Text, escaped.</summary>
    public HtmlWriter Text(string text)
    {
        Escape(text);
        return this;
    }

    /// <summary>A style sheet, as it stands: HTML does not decode entities here, XML does, so it may hold neither &amp; nor &lt;.</summary>
    public HtmlWriter Style(string css)
    {
        if (css.AsSpan().ContainsAny('&', '<')) throw new ArgumentException("A style sheet with & or < reads differently as HTML and as XML.", nameof(css));
        using (Open("style")) _out.Append(css);
        return this;
    }

    /// <summary>A line break in the source, for the reader of the file.</summary>
    public HtmlWriter Line()
    {
        _out.Append('\n');
        return this;
    }

    /// <summary>Closes the innermost element.</summary>
    public void Close() => _out.Append("</").Append(_open.Pop()).Append('>');

    /// <exception cref="InvalidOperationException">An element is still open.</exception>
    public override string ToString() =>
        _open.Count == 0 ? _out.ToString() : throw new InvalidOperationException($"<{_open.Peek()}> is still open.");

    private void Start(string name, ReadOnlySpan<(string Name, string Value)> attributes)
    {
        _out.Append('<').Append(name);
        foreach (var (key, value) in attributes)
        {
            _out.Append(' ').Append(key).Append("=\"");
            Escape(value);
            _out.Append('"');
        }
    }

    private void Escape(string text)
    {
        if (!text.AsSpan().ContainsAnyExcept(Plain))
        {
            _out.Append(text);
            return;
        }
        foreach (var rune in text.EnumerateRunes()) // lone surrogates arrive as U+FFFD
            switch (rune.Value)
            {
                case '&': _out.Append("&amp;"); break;
                case '<': _out.Append("&lt;"); break;
                case '>': _out.Append("&gt;"); break;
                case '"': _out.Append("&quot;"); break;
                case '\'': _out.Append("&#39;"); break;
                case < 0x20 and not ('\t' or '\n' or '\r') or 0xFFFE or 0xFFFF: _out.Append('\uFFFD'); break;
                default: _out.Append(rune.ToString()); break;
            }
    }

    /// <summary>Closes its element when disposed.</summary>
    public readonly struct Element(HtmlWriter writer) : IDisposable
    {
        /// <inheritdoc/>
        public void Dispose() => writer.Close();
    }
}
