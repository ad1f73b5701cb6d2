using System.Buffers.Binary;
using System.Text;

namespace Plip.Tests.Engine;

/// <summary>Builds archives as torch.save would, or as an attacker: a pickle by its instructions, a ZIP of stored entries.</summary>
internal sealed class TorchArchive
{
    private readonly List<(string Name, byte[] Data)> _entries = [];

    /// <summary>An archive of one pickle and its storages, numbered from 0.</summary>
    public static byte[] Of(byte[] pickle, params byte[][] storages)
    {
        var archive = new TorchArchive().Add("archive/data.pkl", pickle);
        for (var i = 0; i < storages.Length; i++) archive.Add(FormattableString.Invariant($"archive/data/{i}"), storages[i]);
        return archive.Add("archive/version", "3\n"u8.ToArray()).Bytes();
    }

    public TorchArchive Add(string name, byte[] data)
    {
        _entries.Add((name, data));
        return this;
    }

    /// <summary>The file.</summary>
    /// <param name="central">Changes the directory's record of an entry before it is written.</param>
    /// <param name="local">The same of an entry's own header.</param>
    /// <param name="zip64">All sizes and places by ZIP64, as of files beyond 4 GB.</param>
    /// <param name="end64">Changes ZIP64's end record before it is written.</param>
    public byte[] Bytes(Action<string, byte[]>? central = null, Action<string, byte[]>? local = null, bool zip64 = false, Action<byte[]>? end64 = null)
    {
        using var file = new MemoryStream();
        var directory = new MemoryStream();
        foreach (var (name, data) in _entries)
        {
            var bytes = Encoding.UTF8.GetBytes(name);
            var own = new byte[30];
            BinaryPrimitives.WriteUInt32LittleEndian(own, 0x04034B50);
            BinaryPrimitives.WriteInt32LittleEndian(own.AsSpan(18), data.Length);
            BinaryPrimitives.WriteInt32LittleEndian(own.AsSpan(22), data.Length);
            BinaryPrimitives.WriteInt16LittleEndian(own.AsSpan(26), (short)bytes.Length);
            var record = new byte[46];
            BinaryPrimitives.WriteUInt32LittleEndian(record, 0x02014B50);
            BinaryPrimitives.WriteInt32LittleEndian(record.AsSpan(20), data.Length);
            BinaryPrimitives.WriteInt32LittleEndian(record.AsSpan(24), data.Length);
            BinaryPrimitives.WriteInt16LittleEndian(record.AsSpan(28), (short)bytes.Length);
            BinaryPrimitives.WriteInt32LittleEndian(record.AsSpan(42), (int)file.Position);
            byte[] extra = zip64 ? [1, 0, 24, 0, .. BitConverter.GetBytes((long)data.Length), .. BitConverter.GetBytes((long)data.Length), .. BitConverter.GetBytes(file.Position)] : [];
            if (zip64)
            {
                foreach (var at in new[] { 20, 24, 42 }) BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(at), uint.MaxValue);
                BinaryPrimitives.WriteInt16LittleEndian(record.AsSpan(30), (short)extra.Length);
            }
            local?.Invoke(name, own);
            central?.Invoke(name, record);
            file.Write(own);
            file.Write(bytes);
            file.Write(data);
            directory.Write(record);
            directory.Write(bytes);
            directory.Write(extra);
        }
        var start = (int)file.Position;
        file.Write(directory.ToArray());
        if (zip64)
        {
            var (record, locator) = (new byte[56], new byte[20]);
            BinaryPrimitives.WriteUInt32LittleEndian(record, 0x06064B50);
            BinaryPrimitives.WriteInt64LittleEndian(record.AsSpan(24), _entries.Count);
            BinaryPrimitives.WriteInt64LittleEndian(record.AsSpan(32), _entries.Count);
            BinaryPrimitives.WriteInt64LittleEndian(record.AsSpan(40), directory.Length);
            BinaryPrimitives.WriteInt64LittleEndian(record.AsSpan(48), start);
            BinaryPrimitives.WriteUInt32LittleEndian(locator, 0x07064B50);
            BinaryPrimitives.WriteInt64LittleEndian(locator.AsSpan(8), file.Position);
            end64?.Invoke(record);
            file.Write(record);
            file.Write(locator);
            start = -1;
        }
        var end = new byte[22];
        BinaryPrimitives.WriteUInt32LittleEndian(end, 0x06054B50);
        BinaryPrimitives.WriteInt16LittleEndian(end.AsSpan(8), (short)_entries.Count);
        BinaryPrimitives.WriteInt16LittleEndian(end.AsSpan(10), (short)_entries.Count);
        BinaryPrimitives.WriteInt32LittleEndian(end.AsSpan(12), (int)directory.Length);
        BinaryPrimitives.WriteInt32LittleEndian(end.AsSpan(16), start);
        file.Write(end);
        return file.ToArray();
    }
}

/// <summary>A pickle, instruction by instruction.</summary>
internal sealed class PickleCode
{
    private readonly MemoryStream _out = new();

    public PickleCode() => Op(0x80, 2);

    public PickleCode Op(params byte[] bytes)
    {
        _out.Write(bytes);
        return this;
    }

    public PickleCode Op(string ascii) => Op(Encoding.ASCII.GetBytes(ascii));

    public PickleCode Global(string module, string name) => Op($"c{module}\n{name}\n");

    public PickleCode Text(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        var length = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(length, bytes.Length);
        return Op("X").Op(length).Op(bytes);
    }

    /// <summary>A whole number of eight bytes.</summary>
    public PickleCode Number(long n)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, n);
        return Op(0x8A, 8).Op(bytes);
    }

    public PickleCode Numbers(params long[] numbers)
    {
        Op("(");
        foreach (var n in numbers) Number(n);
        return Op("t");
    }

    /// <summary>A tensor of a storage's elements, as torch.save writes it.</summary>
    public PickleCode Tensor(string storage, long count, long offset, long[] size, long[] stride, string type = "FloatStorage") =>
        Global("torch._utils", "_rebuild_tensor_v2").Op("((").Text("storage").Global("torch", type).Text(storage).Text("cpu").Number(count).Op("tQ")
            .Number(offset).Numbers(size).Numbers(stride).Op(0x89).Global("collections", "OrderedDict").Op(")RtR");

    public byte[] End() => Op(".").Code();

    public byte[] Code() => _out.ToArray();
}
