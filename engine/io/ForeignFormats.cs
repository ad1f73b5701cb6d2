using System.Buffers.Binary;

namespace Plip.Engine;

/// <summary>Tells formats by their first bytes, and what to do with those that are not read.</summary>
internal static class ForeignFormats
{
    private const string Resave = "In PyTorch: torch.save(torch.load(file, map_location=\"cpu\", weights_only=True), \"new.pth\")";

    /// <summary>The format of a file.</summary>
    /// <param name="start">Its first 512 bytes, or all of a shorter one.</param>
    /// <param name="length">Its length.</param>
    /// <exception cref="FileFormatException">None that is read.</exception>
    public static WeightsFormat Tell(string path, ReadOnlySpan<byte> start, long length)
    {
        if (start.StartsWith("PK\u0003\u0004"u8) || start.StartsWith("PK\u0005\u0006"u8)) return WeightsFormat.Torch;
        if (IsSafeTensors(start, length)) return WeightsFormat.SafeTensors;
        var text = start.TrimStart(" \t\r\n\uFEFF"u8);
        if (text.StartsWith("{"u8)) return WeightsFormat.Index;
        var (what, remedy) = Foreign(start, text);
        // A file of this program's own format that was cut or damaged at its front is best explained by that format's reader.
        if (what == null) return WeightsFormat.SafeTensors;
        throw new FileFormatException(path, "", $"is {what}. {remedy}");
    }

    private static bool IsSafeTensors(ReadOnlySpan<byte> start, long length) =>
        start.Length >= 9 && BinaryPrimitives.ReadUInt64LittleEndian(start) <= (ulong)Math.Min(length - 8, SafeTensorsHeader.MaxBytes) && start[8] == (byte)'{';

    private static (string? What, string Remedy) Foreign(ReadOnlySpan<byte> start, ReadOnlySpan<byte> text)
    {
        // torch's number 0x1950a86a20f9469cfc6c as protocol 2 writes it.
        if (start.StartsWith<byte>([0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19])) return ("in the format of PyTorch before 1.6, which this program does not read", Resave);
        if (start.Length > 262 && start[257..262].SequenceEqual("ustar"u8)) return ("a tar archive: in the format of PyTorch before 0.1.10, or packed", "Unpack it and name the file of weights inside; if that is torch's own: " + Resave);
        if (start.Length > 1 && start[0] == 0x80 && start[1] is >= 2 and <= 5) return ("a plain pickle, which this program does not read", "If it holds tensors: " + Resave);
        if (start.StartsWith("version https://git-lfs"u8)) return ("a pointer of Git LFS and not the weights", "Fetch them: git lfs pull");
        if (text.StartsWith("<"u8)) return ("a web page and not the weights", "Download the file itself");
        if (start.StartsWith<byte>([0x1F, 0x8B])) return ("compressed by gzip", "Unpack it first");
        if (start.StartsWith<byte>([0x89, (byte)'H', (byte)'D', (byte)'F'])) return ("an HDF5 file (Keras or TensorFlow), which this program does not read", "Convert it to safetensors");
        if (start.StartsWith("GGUF"u8)) return ("a GGUF file, which this program does not read", "Take the safetensors of the same model");
        return (null, "");
    }
}
