using System.Globalization;
using System.Text;
using Plip.Engine;

namespace Plip.Weights;

/// <summary>Tensors as an indented tree of their names' parts; numbered parts that are alike (the blocks of a stage) stand there once.</summary>
public static class WeightsTree
{
    private const int Deepest = 32; // parts of a name; what is beyond stays together

    /// <summary>The lines, for a screen.</summary>
    public static IReadOnlyList<string> Lines(StateDict tensors)
    {
        var root = new Node("");
        foreach (var (name, tensor) in tensors)
        {
            var node = root;
            foreach (var part in name.Split('.', Deepest)) node = node.Child(part);
            node.Tensor = tensor;
        }
        var lines = new List<string>();
        foreach (var (name, node) in Alike(root)) Write(name, node, 0, lines);
        return lines;
    }

    private static void Write(string name, Node node, int depth, List<string> lines)
    {
        // A part with a single part in it shares its line.
        while (node.Tensor == null && node.Children.Count == 1) (name, node) = ($"{name}.{node.Children[0].Name}", node.Children[0]);
        var label = new string(' ', 2 * depth) + Printable.Text(name);
        lines.Add(node.Tensor is { } tensor ? $"{label,-48} {tensor.StoredType,-4} {tensor.Shape}" : label);
        foreach (var (inner, child) in Alike(node)) Write(inner, child, depth + 1, lines);
    }

    /// <summary>The children, those in a row with numbers for names and the same tensors joined.</summary>
    private static IEnumerable<(string Name, Node Node)> Alike(Node node)
    {
        for (var i = 0; i < node.Children.Count;)
        {
            var first = node.Children[i];
            var end = i + 1;
            if (first.IsNumbered)
                while (end < node.Children.Count && node.Children[end].IsNumbered && node.Children[end].Signature == first.Signature) end++;
            yield return (end == i + 1 ? first.Name : string.Create(CultureInfo.InvariantCulture, $"{first.Name}…{node.Children[end - 1].Name} ({end - i} alike)"), first);
            i = end;
        }
    }

    private sealed class Node(string name)
    {
        private readonly Dictionary<string, Node> _byName = new(StringComparer.Ordinal);
        private string? _signature;

        public string Name => name;

        public StateTensor? Tensor { get; set; }

        public List<Node> Children { get; } = [];

        public bool IsNumbered => Children.Count > 0 && name.Length > 0 && name.All(char.IsAsciiDigit);

        public string Signature => _signature ??= Sign();

        public Node Child(string part)
        {
            if (_byName.TryGetValue(part, out var child)) return child;
            child = new Node(part);
            _byName.Add(part, child);
            Children.Add(child);
            return child;
        }

        private string Sign()
        {
            var text = new StringBuilder();
            if (Tensor is { } t) text.Append(t.StoredType).Append(t.Shape);
            foreach (var child in Children) text.Append('{').Append(child.Name).Append('=').Append(child.Signature).Append('}');
            return text.ToString();
        }
    }
}
