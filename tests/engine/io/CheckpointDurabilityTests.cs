using System.Diagnostics;
using System.Runtime.CompilerServices;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>Checkpoints under full disks, killed writers and what they leave behind.</summary>
public sealed class CheckpointDurabilityTests : IDisposable
{
    private const string ChildVariable = "PLIP_TESTS_SAVE_CHECKPOINTS_TO";

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    /// <summary>The child of <see cref="A_killed_writer_leaves_a_whole_checkpoint"/>: saves until it is killed, whatever runs the tests.</summary>
    [ModuleInitializer]
    internal static void RunAsChild()
    {
        if (Environment.GetEnvironmentVariable(ChildVariable) is not { Length: > 0 } directory) return;
        for (var step = 0L; step < 100_000; step++) Checkpoint.Save(directory, step, Large(step));
        Environment.Exit(1);
    }

    [Fact]
    public void A_full_disk_is_named_and_loses_nothing()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs /dev/full");
        var before = Checkpoint.Save(_directory.Path, 1, Large(1));
        var e = Assert.Throws<CheckpointWriteException>(() => Checkpoint.Write(
            _directory.Path, 2, Large(2), null, 2, null, _ => new FileStream("/dev/full", FileMode.Open, FileAccess.ReadWrite)));
        Assert.Equal(_directory / "step-00000002.safetensors", e.Path);
        Assert.Contains("No space left on device", e.Message, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("Earlier checkpoints are untouched. Free space", e.Message, StringComparison.Ordinal);
        RequireOnly(before, 1);
    }

    [Fact]
    public void A_write_that_fails_at_any_point_loses_nothing()
    {
        var before = Checkpoint.Save(_directory.Path, 1, Small(1));
        var length = (int)new FileInfo(before).Length;
        for (var limit = 0; limit < length; limit += 7)
        {
            Assert.Throws<CheckpointWriteException>(() => Checkpoint.Write(_directory.Path, 2, Small(2), null, 2, null, p => new Failing(p, limit)));
            RequireOnly(before, 1);
        }
        Checkpoint.Write(_directory.Path, 2, Small(2), null, 1, null, p => new Failing(p, length + 64)); // the patched hash counts too
        RequireOnly(_directory / "step-00000002.safetensors", 2);
    }

    [Fact]
    public void A_directory_that_cannot_be_made_is_named()
    {
        var file = _directory.Write("file", []);
        var e = Assert.Throws<CheckpointWriteException>(() => Checkpoint.Save(Path.Combine(file, "last"), 1, Small(1)));
        Assert.Contains(file, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_part_of_any_length_is_never_taken_for_a_checkpoint()
    {
        Checkpoint.Save(_directory.Path, 1, Small(1));
        var whole = File.ReadAllBytes(Checkpoint.Save(_directory.Path, 2, Small(2)));
        var newest = _directory / "step-00000002.safetensors";
        for (var n = 0; n < whole.Length; n++)
        {
            // As a killed writer leaves it: ignored without a word.
            File.Delete(newest);
            File.WriteAllBytes(newest + ".tmp", whole[..n]);
            using (var checkpoint = Checkpoint.Open(_directory.Path, w => Assert.Fail(w))) Assert.Equal(1, checkpoint.Step);
            // As a copy that was cut short leaves it: passed over with a warning.
            File.WriteAllBytes(newest, whole[..n]);
            var told = new List<string>();
            using (var checkpoint = Checkpoint.Open(_directory.Path, told.Add)) Assert.Equal(1, checkpoint.Step);
            Assert.Contains(newest, Assert.Single(told), StringComparison.Ordinal);
        }
        Checkpoint.Save(_directory.Path, 3, Small(3));
        Assert.Empty(Directory.GetFiles(_directory.Path, "*.tmp")); // cleaned by the next write
    }

    [Fact]
    public void A_killed_writer_leaves_a_whole_checkpoint()
    {
        for (var round = 0; round < 3; round++)
        {
            var directory = _directory / $"round-{round}";
            var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardError = true, RedirectStandardOutput = true };
            if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "PLIP.Tests.dll"));
            start.Environment[ChildVariable] = directory;
            using var child = Process.Start(start)!;
            // Killed in the middle of one of the writes after so many steps: a temporary file has appeared.
            while (!(Newest(directory) >= 3 * round + 1 && Directory.GetFiles(directory, "*.tmp").Length > 0))
            {
                Assert.False(child.HasExited, "the child ended by itself");
                Thread.Sleep(1);
            }
            child.Kill(); // SIGKILL
            child.WaitForExit();
            var seen = Newest(directory);
            using var checkpoint = Checkpoint.Open(directory, w => Assert.Fail(w));
            Assert.Equal(seen, checkpoint.Step);
            Assert.Equal(checkpoint.Step, checkpoint.Tensors["x"].ToF32()[^1]);
        }
    }

    private static long Newest(string directory) => !Directory.Exists(directory) ? -1
        : Directory.GetFiles(directory, "step-*.safetensors").Select(f => long.Parse(Path.GetFileName(f)[5..13])).DefaultIfEmpty(-1).Max();

    private void RequireOnly(string path, long step)
    {
        Assert.Equal([path], Directory.GetFiles(_directory.Path));
        using var checkpoint = Checkpoint.Open(_directory.Path, w => Assert.Fail(w));
        Assert.Equal(step, checkpoint.Step);
    }

    private static StateDict Small(long step) => State(step, 4);

    private static StateDict Large(long step) => State(step, 1_000_000);

    private static StateDict State(long step, int count)
    {
        var values = new float[count];
        Array.Fill(values, step);
        var state = new StateDict();
        state.Add("x", StateTensor.Of(values, new(count)));
        return state;
    }

    /// <summary>A file on a disk with room for so many bytes.</summary>
    private sealed class Failing(string path, int limit) : FileStream(path, FileMode.Create, FileAccess.ReadWrite)
    {
        private int _left = limit;

        // A derived FileStream sends its writes of spans here.
        public override void Write(byte[] buffer, int offset, int count)
        {
            base.Write(buffer, offset, Math.Min(_left, count));
            if (count > _left) throw new IOException("no room");
            _left -= count;
        }
    }
}
