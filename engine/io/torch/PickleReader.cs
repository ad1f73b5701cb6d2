using System.Buffers.Binary;
using System.Text;

namespace Plip.Engine;

// Cost: one pass over the bytes. Memory: what a pickle builds is charged against a budget of four items a byte of it, so that a short one that copies
// what it has built again and again ends in an error, not in the machine's memory; nothing is reserved by a size that the bytes only claim.

/// <summary>
/// Python's pickle, as far as torch.save writes it (protocols 2 to 5). A table of some fifty instructions that build lists, dictionaries and
/// numbers; what a global does is decided by <see cref="TorchGlobals"/> and done by <see cref="TorchObjects"/>: no code of the file or of any
/// library is looked up or run.
/// </summary>
internal sealed class PickleReader
{
    private const int LongestGlobal = 512, Highest = 5, ItemsPerByte = 4, SmallestBudget = 4096;

    private readonly byte[] _code;
    private readonly TorchObjects _objects;
    private readonly Func<string, FileFormatException> _error;
    private readonly List<object?> _stack = [];
    private readonly List<int> _marks = [];
    private readonly Dictionary<uint, object?> _memo = [];
    private int _at, _instruction;
    private long _budget;

    private PickleReader(byte[] code, TorchObjects objects, Func<string, FileFormatException> error) =>
        (_code, _objects, _error, _budget) = (code, objects, error, SmallestBudget + (long)ItemsPerByte * code.Length);

    /// <summary>What a pickle describes.</summary>
    /// <param name="code">All of it.</param>
    /// <param name="objects">Makes tensors and the like of globals and their arguments.</param>
    /// <param name="path">The file, for errors.</param>
    /// <param name="entry">The archive's entry, for errors.</param>
    /// <exception cref="FileFormatException">Damaged, or of something other than weights; says at which byte.</exception>
    public static object? Read(byte[] code, TorchObjects objects, string path, string entry)
    {
        PickleReader? reader = null;
        reader = new PickleReader(code, objects, problem => new FileFormatException(path, $"{Printable.Text(entry)}, byte {reader!._instruction}", problem));
        return reader.Run();
    }

    private object? Run()
    {
        while (true)
        {
            _instruction = _at;
            var code = Byte();
            if (code == '.') break;
            Do(code);
        }
        if (_stack.Count != 1 || _marks.Count > 0) throw Broken("ends with things left over");
        if (_at != _code.Length) throw Broken($"goes on for {_code.Length - _at} bytes after its end");
        return _stack[0];
    }

    private void Do(byte code)
    {
        switch (code)
        {
            case 0x80: // PROTO
                if (Byte() is < 2 or > Highest) throw _error($"is of pickle protocol {_code[_at - 1]}; this program reads 2 to {Highest}, which torch.save writes");
                break;
            case 0x95: // FRAME: how much a stream should fetch
                if (Unsigned(8) > _code.Length - _at) throw Broken("holds a frame that is longer than the rest of it");
                break;
            case (byte)'(': _marks.Add(_stack.Count); break;
            case (byte)'0': if (_marks.Count > 0 && _marks[^1] == _stack.Count) _marks.RemoveAt(_marks.Count - 1); else Pop(); break;
            case (byte)'1': PopMark(); break;
            case (byte)'2': Push(Top()); break;
            case (byte)'N': Push(null); break;
            case 0x88: Push(true); break;
            case 0x89: Push(false); break;
            case (byte)'J': Push((long)(int)Unsigned(4)); break;
            case (byte)'K': Push((long)Byte()); break;
            case (byte)'M': Push(Unsigned(2)); break;
            case 0x8A: Push(Integer(Byte())); break;
            case 0x8B: Push(Integer((int)Unsigned(4))); break;
            case (byte)'G': Push(BinaryPrimitives.ReadDoubleBigEndian(Take(8))); break;
            case (byte)'X': Push(Text(Unsigned(4))); break;
            case 0x8C: Push(Text(Byte())); break;
            case 0x8D: Push(Text(Unsigned(8))); break;
            case (byte)'T': Push(Text(Unsigned(4))); break; // Python 2's str
            case (byte)'U': Push(Text(Byte())); break;
            case (byte)'B': Push(Take(Unsigned(4)).ToArray()); break;
            case (byte)'C': Push(Take(Byte()).ToArray()); break;
            case 0x8E or 0x96: Push(Take(Unsigned(8)).ToArray()); break;
            case (byte)']' or 0x8F: Push(new PyList()); break;
            case (byte)'}': Push(new PyDict()); break;
            case (byte)')': Push(new PyTuple([])); break;
            case (byte)'a': Append(); break;
            case (byte)'e' or 0x90: Extend(); break;
            case 0x91: Push(ListOf(PopMark())); break; // FROZENSET
            case (byte)'t': Push(new PyTuple(PopMark())); break;
            case 0x85: Push(new PyTuple([Pop()])); break;
            case 0x86: Push(PopTuple(2)); break;
            case 0x87: Push(PopTuple(3)); break;
            case (byte)'s': SetItem(); break;
            case (byte)'u': SetItems(); break;
            case (byte)'q': Memorize(Byte()); break;
            case (byte)'r': Memorize((uint)Unsigned(4)); break;
            case 0x94: Memorize((uint)_memo.Count); break;
            case (byte)'h': Push(Recall(Byte())); break;
            case (byte)'j': Push(Recall((uint)Unsigned(4))); break;
            case (byte)'c': Push(Global(Line(), Line())); break;
            case 0x93: PushGlobal(); break;
            case (byte)'R': Reduce(); break;
            case 0x81: Reduce(); break; // NEWOBJ: class and arguments, which is the same for what is known here
            case (byte)'b': Build(); break;
            case (byte)'Q': Push(_objects.Storage(Pop(), _error)); break;
            default: throw _error(FormattableString.Invariant($"the instruction 0x{code:x2} is none that torch.save writes; the file is damaged or not PyTorch's. Nothing of it was executed"));
        }
    }

    private void Append()
    {
        var item = Pop();
        if (Top() is not PyList list) throw Broken("appends to something that is no list");
        list.Items.Add(item);
    }

    private void Extend()
    {
        var items = PopMark();
        if (Top() is not PyList list) throw Broken("appends to something that is no list");
        list.Items.AddRange(items);
    }

    private void SetItem()
    {
        var (value, key) = (Pop(), Pop());
        if (Top() is not PyDict dict) throw Broken("sets a key of something that is no dictionary");
        dict.Items.Add((key, value));
    }

    private void SetItems()
    {
        var items = PopMark();
        if (items.Length % 2 != 0 || Top() is not PyDict dict) throw Broken("sets keys of something that is no dictionary");
        for (var i = 0; i < items.Length; i += 2) dict.Items.Add((items[i], items[i + 1]));
    }

    private void PushGlobal()
    {
        if (Pop() is not string name || Pop() is not string module) throw Broken("names a global by something that is no text");
        Push(Global(module, name));
    }

    private TorchGlobal Global(string module, string name)
    {
        if (module.Length + name.Length > LongestGlobal) throw Broken("names a global of more than 512 characters");
        return TorchGlobals.Find(module, name, _objects.IsScript, out var refusal) ?? throw _error(refusal);
    }

    private void Reduce()
    {
        if (Pop() is not PyTuple arguments) throw Broken("calls something with arguments that are no tuple");
        if (Pop() is not TorchGlobal global) throw _error("calls something that is no global; the file is damaged. Nothing was executed");
        var (result, items) = _objects.Make(global, arguments.Items, _error);
        Charge(items);
        Push(result);
    }

    private void Build()
    {
        var state = Pop();
        switch (Top())
        {
            case PyDict { IsObject: true } o:
                if (state is not PyDict attributes) throw Broken("gives an object attributes that are no dictionary");
                Charge(attributes.Items.Count);
                if (!ReferenceEquals(o, attributes)) o.Items.AddRange(attributes.Items);
                break;
            case PyNumpyType type when state is PyTuple { Items: [_, string order, ..] }:
                type.BigEndian = order == ">";
                break;
            case PyDict or PyTensor: // an OrderedDict's _metadata, a parameter's attributes
                break;
            default: throw Broken("gives a state to something that has none");
        }
    }

    private void Push(object? value)
    {
        Charge(1);
        _stack.Add(value);
    }

    private object? Pop()
    {
        if (_stack.Count <= (_marks.Count > 0 ? _marks[^1] : 0)) throw Broken("takes from an empty stack");
        var value = _stack[^1];
        _stack.RemoveAt(_stack.Count - 1);
        return value;
    }

    private object? Top() => _stack.Count > (_marks.Count > 0 ? _marks[^1] : 0) ? _stack[^1] : throw Broken("takes from an empty stack");

    private object?[] PopMark()
    {
        if (_marks.Count == 0) throw Broken("lacks a mark");
        var start = _marks[^1];
        _marks.RemoveAt(_marks.Count - 1);
        var items = _stack.GetRange(start, _stack.Count - start).ToArray();
        _stack.RemoveRange(start, items.Length);
        return items;
    }

    private PyTuple PopTuple(int n)
    {
        var items = new object?[n];
        for (var i = n - 1; i >= 0; i--) items[i] = Pop();
        return new PyTuple(items);
    }

    private static PyList ListOf(object?[] items)
    {
        var list = new PyList();
        list.Items.AddRange(items);
        return list;
    }

    private void Memorize(uint slot)
    {
        Charge(1);
        _memo[slot] = Top();
    }

    private object? Recall(uint slot) => _memo.TryGetValue(slot, out var value) ? value : throw Broken($"asks for memo {slot}, which it has not written");

    private void Charge(long items)
    {
        _budget -= items;
        if (_budget < 0) throw _error($"builds more than its {_code.Length} bytes explain: it was made to fill the memory");
    }

    private byte Byte() => _at < _code.Length ? _code[_at++] : throw Broken("was cut short");

    private ReadOnlySpan<byte> Take(long count)
    {
        if (count < 0 || count > _code.Length - _at) throw Broken($"claims {count} bytes and has {_code.Length - _at} left");
        _at += (int)count;
        return _code.AsSpan(_at - (int)count, (int)count);
    }

    private long Unsigned(int bytes)
    {
        ulong value = 0;
        var from = Take(bytes);
        for (var i = bytes - 1; i >= 0; i--) value = value << 8 | from[i];
        return (long)value; // of eight bytes one that is negative fails where it is used
    }

    /// <summary>Two's complement, little-endian, any length: an integer where it fits one.</summary>
    private object Integer(int bytes)
    {
        var from = Take(bytes);
        if (bytes > 8) return new PyOpaque($"an integer of {bytes} bytes");
        long value = bytes > 0 && from[^1] >= 0x80 ? -1 : 0;
        for (var i = bytes - 1; i >= 0; i--) value = value << 8 | from[i];
        return value;
    }

    private string Text(long bytes) => Encoding.UTF8.GetString(Take(bytes));

    private string Line()
    {
        var length = _code.AsSpan(_at, Math.Min(LongestGlobal + 1, _code.Length - _at)).IndexOf((byte)'\n');
        if (length < 0) throw Broken("names a global without an end");
        var line = Text(length);
        _at++;
        return line;
    }

    private FileFormatException Broken(string what) => _error($"the pickle {what}; the file is damaged");
}
