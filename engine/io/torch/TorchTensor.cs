namespace Plip.Engine;

/// <summary>
/// A tensor of a torch.save archive, read by position when it is asked for. A view whose elements are not one after the other (a transposed
/// matrix) is gathered to row-major order from its stretch of the storage, which is then kept while memory is not short.
/// </summary>
internal sealed class TorchTensor : StateTensor
{
    private readonly TorchFile _owner;
    private readonly PyTensor _view;
    private readonly bool _isPlain;
    private readonly WeakReference<byte[]> _stretch = new(null!);

    public TorchTensor(TorchFile owner, PyTensor view) : base(view.Type.ReadAs, view.Shape)
    {
        (_owner, _view) = (owner, view);
        _isPlain = IsRowMajor(view);
    }

    public override string StoredType => _view.Type.Name;

    public override long StoredBytes => Shape.Count * _view.Type.Size;

    public override void Read(long first, Span<byte> to)
    {
        var type = _view.Type;
        var start = _view.Storage.Entry.Start;
        if (_isPlain)
        {
            SafeTensors.ReadElements(_owner.Path, _owner.File, type, start + (_view.Offset + first) * type.Size, to);
            return;
        }
        if (!_stretch.TryGetTarget(out var stretch))
        {
            var bytes = (LastElement() - _view.Offset + 1) * type.Size;
            if (bytes > Array.MaxLength) throw new FileFormatException(_owner.Path, Printable.Text(_view.Storage.Entry.Name), $"a view that is not in order spans {bytes} bytes, more than this program holds at once; save it with .contiguous()");
            stretch = new byte[bytes];
            SafeTensors.Fill(_owner.Path, _owner.File, start + _view.Offset * type.Size, stretch);
            _stretch.SetTarget(stretch);
        }
        Gather(stretch, first, to);
    }

    private void Gather(byte[] stretch, long first, Span<byte> to)
    {
        var (type, rank, size) = (_view.Type, Shape.Rank, _view.Type.Size);
        var index = new int[rank];
        long at = 0;
        for (var i = rank - 1; i >= 0; i--)
        {
            index[i] = (int)(first % Shape[i]);
            first /= Shape[i];
            at += index[i] * _view.Strides[i];
        }
        const int Chunk = 1 << 16; // elements: as elsewhere
        var count = to.Length / type.ReadAs.Size();
        var raw = new byte[Math.Min(Chunk, count) * size];
        for (var done = 0; done < count; done += Chunk)
        {
            var piece = raw.AsSpan(0, Math.Min(Chunk, count - done) * size);
            for (var e = 0; e < piece.Length; e += size)
            {
                stretch.AsSpan((int)(at * size), size).CopyTo(piece[e..]);
                for (var i = rank - 1; i >= 0; i--)
                {
                    at += _view.Strides[i];
                    if (++index[i] < Shape[i]) break;
                    at -= index[i] * _view.Strides[i];
                    index[i] = 0;
                }
            }
            type.ConvertOrCopy(piece, to.Slice(done * type.ReadAs.Size()));
        }
    }

    private long LastElement()
    {
        var last = _view.Offset;
        for (var i = 0; i < Shape.Rank; i++) last += (Shape[i] - 1) * _view.Strides[i];
        return last;
    }

    private static bool IsRowMajor(PyTensor view)
    {
        long expected = 1;
        for (var i = view.Shape.Rank - 1; i >= 0; i--)
        {
            if (view.Shape[i] != 1 && view.Strides[i] != expected) return view.Shape.Count == 0;
            expected *= view.Shape[i];
        }
        return true;
    }
}
