using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Text;

namespace Plip.Oracle;

/// <summary>
/// TorchSharp's native library asks for GLIBCXX_3.4.32 through one version marker that no symbol uses; systems with
/// GCC 12's libstdc++ (Debian 12) end at 3.4.30 and refuse to load it. The ELF format has a flag for "do not insist"
/// (VER_FLG_WEAK): it is set on that one marker, in this project's output copy, before the library is loaded.
/// </summary>
internal static class LibTorchLoader
{
    private const string Marker = "GLIBCXX_3.4.32";
    private const int Verneed = 0x6ffffffe;
    private const ushort Weak = 2;

    [ModuleInitializer]
    internal static void Relax()
    {
        var path = Path.Combine(AppContext.BaseDirectory, "libLibTorchSharp.so");
        if (!File.Exists(path)) return;
        var elf = File.ReadAllBytes(path);
        if (MarkWeak(elf)) File.WriteAllBytes(path, elf);
    }

    /// <summary>Sets the flag on the marker's entry in .gnu.version_r; false where it is set already or there is none.</summary>
    private static bool MarkWeak(byte[] elf)
    {
        var sections = (int)U64(elf, 0x28);
        var (size, count) = (U16(elf, 0x3a), U16(elf, 0x3c));
        for (var i = 0; i < count; i++)
        {
            var header = sections + i * size;
            if (U32(elf, header + 4) != Verneed) continue;
            var table = (int)U64(elf, header + 0x18);
            var link = sections + (int)U32(elf, header + 0x28) * size;
            var strings = (int)U64(elf, link + 0x18);
            return MarkWeak(elf, table, strings);
        }
        return false;
    }

    private static bool MarkWeak(byte[] elf, int need, int strings)
    {
        while (true)
        {
            var entry = need + (int)U32(elf, need + 8);
            for (var k = U16(elf, need + 2); k > 0; k--)
            {
                var flags = elf.AsSpan(entry + 4, 2);
                if (Name(elf, strings + (int)U32(elf, entry + 8)) == Marker)
                {
                    var before = BinaryPrimitives.ReadUInt16LittleEndian(flags);
                    BinaryPrimitives.WriteUInt16LittleEndian(flags, (ushort)(before | Weak));
                    return (before & Weak) == 0;
                }
                entry += (int)U32(elf, entry + 12);
            }
            var next = (int)U32(elf, need + 12);
            if (next == 0) return false;
            need += next;
        }
    }

    private static string Name(byte[] elf, int at) => Encoding.ASCII.GetString(elf, at, Array.IndexOf(elf, (byte)0, at) - at);

    private static ushort U16(byte[] b, int at) => BinaryPrimitives.ReadUInt16LittleEndian(b.AsSpan(at));

    private static uint U32(byte[] b, int at) => BinaryPrimitives.ReadUInt32LittleEndian(b.AsSpan(at));

    private static ulong U64(byte[] b, int at) => BinaryPrimitives.ReadUInt64LittleEndian(b.AsSpan(at));
}
