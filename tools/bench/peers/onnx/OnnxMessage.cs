using Google.Protobuf;

namespace Plip.Bench.Peers;

/// <summary>
/// A Protocol Buffers message as a list of fields. Lengths stand before contents in that format, so the size is counted
/// while fields are added and the message is then written once, front to back, without copies of the weights.
/// </summary>
/// <remarks>A message is complete when it is added to another: what is added to it later would not be counted there.</remarks>
internal sealed class OnnxMessage
{
    private readonly List<Action<CodedOutputStream>> _fields = [];

    /// <summary>Bytes of the content.</summary>
    public int Size { get; private set; }

    /// <summary>Adds an integer (int32, int64 or enum).</summary>
    public OnnxMessage Add(int field, long value) =>
        Add(field, WireFormat.WireType.Varint, CodedOutputStream.ComputeInt64Size(value), output => output.WriteInt64(value));

    /// <summary>Adds a float.</summary>
    public OnnxMessage Add(int field, float value) =>
        Add(field, WireFormat.WireType.Fixed32, sizeof(float), output => output.WriteFloat(value));

    /// <summary>Adds a string.</summary>
    public OnnxMessage Add(int field, string value) =>
        Add(field, WireFormat.WireType.LengthDelimited, CodedOutputStream.ComputeStringSize(value), output => output.WriteString(value));

    /// <summary>Adds bytes, which are not copied: they must stay as they are until the message is written.</summary>
    public OnnxMessage Add(int field, byte[] value)
    {
        var bytes = UnsafeByteOperations.UnsafeWrap(value);
        return Add(field, WireFormat.WireType.LengthDelimited, CodedOutputStream.ComputeBytesSize(bytes), output => output.WriteBytes(bytes));
    }

    /// <summary>Adds a message.</summary>
    public OnnxMessage Add(int field, OnnxMessage message) =>
        Add(field, WireFormat.WireType.LengthDelimited, CodedOutputStream.ComputeLengthSize(message.Size) + message.Size, output =>
        {
            output.WriteLength(message.Size);
            message.WriteTo(output);
        });

    /// <summary>The encoded message.</summary>
    public byte[] ToArray()
    {
        var bytes = new byte[Size];
        var output = new CodedOutputStream(bytes);
        WriteTo(output);
        output.CheckNoSpaceLeft();
        return bytes;
    }

    private void WriteTo(CodedOutputStream output)
    {
        foreach (var write in _fields) write(output);
    }

    private OnnxMessage Add(int field, WireFormat.WireType type, int size, Action<CodedOutputStream> write)
    {
        Size = checked(Size + CodedOutputStream.ComputeTagSize(field) + size);
        _fields.Add(output =>
        {
            output.WriteTag(field, type);
            write(output);
        });
        return this;
    }
}
