namespace Plip.Engine;

/// <summary>
/// Contrastive losses of batches of any size: N×N cosines are never in memory. Multi-positive by identity, both directions from one pass over the
/// pairs; embeddings F32, BF16 or F16, statistics and sums F32, losses rounded once.
/// </summary>
/// <remarks>
///   forward   C = (v·t)/(|v||t|) piece by piece; each row's and each column's sums (<see cref="ContrastSums"/>), merged as pieces come, give its
///             loss and the few numbers of its gradient
///   backward  C again, B rows at a time; H = 1/(|v||t|)·(∂rows + ∂columns by C), B×N, the gradient by the products v·t themselves;
///             g = H·t for these rows, and Hᵀ·v added to the columns' sum; then dv = g − v(v·g)/|v|² + d|v|·v/|v|, and so dt
///   saved     lengths, and four numbers for each row and column; the embeddings are inputs
///   care      products of the embeddings as they are, F32 sums: nothing is rounded but what is stored in 16 bits. H has the size of dC/(|v||t|),
///             which F16 may not hold: on a GPU F16 embeddings are first copied to lengths of 1 to 2, by powers of two, which is exact
/// Cost: 2N²D·(1 + 3) operations, the least when C is not kept, and 2N² exps each way, each once more. Memory, with e bytes an element: the panel of B rows, B ≤ max(D, 128)
/// and ≤ 512 (CPU: F32), so e·N·D; for 16-bit embeddings the columns' sum in F32, 4·N·D, up to <see cref="Contrast.MostSum"/>, and beyond a fifth product in its place; on a
/// GPU in the forward 1.3 KB for each pair. N = 262,144 in BF16: × 512 0.54 GB of inputs, as much of gradients, 0.80 GB beside them; × 768 0.81, as much, and 0.27: 1.9 GB each.
/// </remarks>
internal static class ContrastStream
{
    public static Tensor Loss<TRow>(Tensor images, Tensor texts, Tensor? identities, TRow row, bool lengths, bool bothWays, string op)
        where TRow : struct, IContrastRow
    {
        var (y, n, device) = (Tensor.Empty(images.Device, new Shape(), madeBy: op), images.Shape[0], images.Device);
        // On the CPU the gradient's matrix is F32 whatever the embeddings are, and nothing is copied.
        var copied = images.DType == DType.F16 && device is CudaDevice or PlanDevice { ForGpu: true };
        var (u, w) = copied ? (Tensor.Like(images, op), Tensor.Like(texts, op)) : (images.View(images.Shape), texts.View(texts.Shape));
        var ids = identities?.View(identities.Shape);
        var state = new ContrastState(
            Tensor.Empty(device, new Shape(2, n), madeBy: op), Tensor.Empty(device, new Shape(2, n), madeBy: op),
            Tensor.Zeros(device, new Shape(2, n), madeBy: op), Tensor.Empty(device, new Shape(6, n), madeBy: op));
        device.Run(images.DType, new StreamForward<TRow>(y, state, u, w, images, texts, ids, row, lengths, bothWays));
        Tensor[] saved = [u, w, state.Size, state.Inverse, state.BySize, state.Numbers];
        return Tape.Record(y, [images, texts], dy =>
        {
            var dv = images.NeedsGrad ? Tensor.Like(images, op) : null;
            var dt = texts.NeedsGrad ? Tensor.Like(texts, op) : null;
            // Rows are gathered panel by panel; a side that comes alone is the rows, and so is each where the sum of the columns would take too much.
            var alone = dt != null && images.DType != DType.F32 && sizeof(float) * dt.Count > Contrast.MostSum;
            if (dv != null) device.Run(images.DType, new StreamBackward<TRow>(dv, alone ? null : dt, dy, state, u, w, ids, row, lengths, bothWays, side: 0));
            if (dt != null && (alone || dv == null)) device.Run(images.DType, new StreamBackward<TRow>(dt, null, dy, state, w, u, ids, row, lengths, bothWays, side: 1));
            return [dv, dt];
        }, ids == null ? saved : [.. saved, ids], op);
    }
}

/// <summary>What a streamed loss knows of the images, then of the texts.</summary>
/// <param name="Size">Lengths (2, N).</param>
/// <param name="Inverse">One over the lengths of what is multiplied (2, N); 0 for an embedding without direction.</param>
/// <param name="BySize">Gradients of the rows' losses by the lengths (2, N); 0 where these take no part.</param>
/// <param name="Numbers">Shift, same and other of <see cref="ContrastNumbers"/> (2·3, N).</param>
internal readonly record struct ContrastState(Tensor Size, Tensor Inverse, Tensor BySize, Tensor Numbers);

/// <summary>How the kernels of contrast_stream.cu are launched.</summary>
file static class Tiles
{
    public const int Side = 128;

    private const int MostPanelRows = 512, Threads = 256, StageBytes = 2 * Side * 40 * 2, Stages = 4;

    /// <summary>Rows of products that a panel has.</summary>
    public static int PanelRows(int n, int d) => Math.Min(Math.Clamp(d / Side, 1, MostPanelRows / Side), Launch.Blocks(n, Side)) * Side;

    /// <summary>Dynamic shared memory: a tile, or the stages of 16-bit operands, in whose place it comes.</summary>
    public static Launch Of(DType type, long blocks, int parts = 1) =>
        Launch.Grid(blocks, parts).Of(Threads).Shared(type == DType.F32 ? Side * (Side + 8) * sizeof(float) : Stages * StageBytes);

    public static int Pack(DType type, Tensor u, Tensor w) => type == DType.F32 ? 1 : Engine.Pack.Of(type, u.Cols, u, w);

    /// <summary>So many rows of a matrix, from one on.</summary>
    public static Tensor Rows(Tensor x, int first, int count) => x.View(new Shape(count, x.Cols), (long)first * x.Cols * x.DType.Size());
}

file readonly unsafe struct StreamForward<TRow>(
    Tensor y, ContrastState state, Tensor u, Tensor w, Tensor images, Tensor texts, Tensor? identities, TRow row, bool lengths, bool bothWays) : IKernel
    where TRow : struct, IContrastRow
{
    // An exp is about 20 operations; each direction has its own.
    public Work Work => new("contrast_stream_forward", images.Bytes + texts.Bytes + state.Numbers.Bytes,
        (double)u.Rows * u.Rows * (2.0 * u.Cols + (bothWays ? 60 : 30)));

    public void Run(CudaDevice gpu, DType type)
    {
        int n = u.Shape[0], d = u.Shape[1], ways = bothWays ? 2 : 1;
        ReadOnlySpan<Define> sides = [("TYPE", type), ("OWN", type)];
        var copied = type == DType.F16;
        gpu.Launch("contrast_sides", "contrast_sizes", sides, Launch.WarpPerRow(n), state.Size, state.Inverse, copied ? u : null, images, n, d, 0);
        gpu.Launch("contrast_sides", "contrast_sizes", sides, Launch.WarpPerRow(n), state.Size, state.Inverse, copied ? w : null, texts, n, d, n);

        ReadOnlySpan<Define> constants = [("TYPE", type), ("PACK", Tiles.Pack(type, u, w)), ("ROW", row.Cuda.Name)];
        var tiles = Launch.Blocks(n, Tiles.Side);
        var perPart = Launch.Blocks(tiles, Contrast.MostParts);
        var parts = Launch.Blocks(tiles, perPart);
        var height = type == DType.F32 ? Tiles.PanelRows(n, d) : n;
        var slots = 2 * (type == DType.F32 ? height / Tiles.Side : parts);
        using var rows = gpu.Scratch((long)parts * row.Fields * n);
        using var columns = gpu.Scratch(bothWays ? (long)slots * row.Fields * n : 0);
        using var own = gpu.Scratch(identities == null ? n : 0);
        using var losses = gpu.Scratch((long)ways * n);
        var (_, a, b, c, e) = row.Cuda;
        KernelArgument owns = identities == null ? own : (Tensor?)null;
        if (type != DType.F32)
        {
            gpu.Launch(
                "contrast_stream", "contrast_statistics", constants, Tiles.Of(type, parts, parts), rows, columns, owns, u, w, state.Inverse, state.Size, identities,
                n, d, 0, n, perPart, perPart, 1, lengths ? 1 : 0, a, b, c, e);
        }
        else
        {
            var panel = Tensor.Empty(gpu, new Shape(height, n), madeBy: "contrast");
            for (var first = 0; first < n; first += height)
            {
                var count = Math.Min(height, n - first);
                Tensor strip = Tiles.Rows(u, first, count), products = Tiles.Rows(panel, 0, count);
                gpu.Gemm.Run(products, strip, w, false, true, count, n, d);
                gpu.Launch(
                    "contrast_stream", "contrast_statistics", constants, Tiles.Of(type, Launch.Blocks(count, Tiles.Side), parts), rows, columns, owns, products, null,
                    state.Inverse, state.Size, identities, n, d, first, count, 1, perPart, first == 0 ? 1 : 0, lengths ? 1 : 0, a, b, c, e);
                strip.Release();
                products.Release();
            }
            panel.Release();
        }
        gpu.Launch(
            "contrast_stream", "contrast_finish", constants, Launch.PerElement((long)ways * n), losses, state.Numbers, state.BySize, rows, columns, owns, state.Size,
            n, ways, parts, slots, lengths ? 1 : 0, a, b, c, e);
        gpu.Launch("contrast", "contrast_total", [("ROW", row.Cuda.Name)], Launch.Grid(1).Of(256), y, losses, ways * n, n);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        int n = u.Shape[0], d = u.Shape[1], height = ContrastPanels.Rows(n, d);
        T* images = u.At<T>(), texts = w.At<T>();
        ContrastPanels.Sizes<V, T>(cpu, state.Size.F32, state.Inverse.F32, images, n, d);
        ContrastPanels.Sizes<V, T>(cpu, state.Size.F32 + n, state.Inverse.F32 + n, texts, n, d);
        using var panels = new ContrastPanels<V, TRow>(cpu, state, identities, n, row, lengths, bothWays);
        using var memory = cpu.Scratch(height * panels.Stride);
        panels.Begin();
        for (var first = 0; first < n; first += height)
        {
            var count = Math.Min(height, n - first);
            Gemm.Run<V, T, T, F32>(cpu, false, true, count, n, d, images + (nint)first * d, d, texts, d, (F32*)memory.At, (nint)panels.Stride);
            panels.Add(memory.At, first, count);
        }
        *y.F32 = (float)(panels.Finish() / n);
    }
}

/// <summary>The gradient of the rows and, where it is wanted, of the columns; <paramref name="side"/> says which the rows are: 0 images, 1 texts.</summary>
file readonly unsafe struct StreamBackward<TRow>(
    Tensor dRows, Tensor? dColumns, Tensor dy, ContrastState state, Tensor u, Tensor w, Tensor? identities, TRow row, bool lengths, bool bothWays, int side) : IKernel
    where TRow : struct, IContrastRow
{
    public Work Work => new("contrast_stream_backward", u.Bytes + w.Bytes + dRows.Bytes + (dColumns?.Bytes ?? 0),
        (double)u.Rows * u.Rows * ((dColumns == null ? 4.0 : 6.0) * u.Cols + (bothWays ? 60 : 30)));

    public void Run(CudaDevice gpu, DType type)
    {
        int n = u.Shape[0], d = u.Shape[1], height = Tiles.PanelRows(n, d), columnTiles = Launch.Blocks(n, Tiles.Side);
        var wide = type == DType.F32;
        ReadOnlySpan<Define> constants = [("TYPE", type), ("PACK", Tiles.Pack(type, u, w)), ("ROW", row.Cuda.Name)];
        ReadOnlySpan<Define> sides = [("TYPE", type), ("OWN", type)];
        var (_, a, b, c, e) = row.Cuda;
        var panel = Tensor.Empty(gpu, new Shape(height, n), type, "contrast");
        var gathered = wide ? null : Tensor.Empty(gpu, new Shape(height, d), madeBy: "contrast");
        var sum = wide || dColumns == null ? dColumns : Tensor.Empty(gpu, new Shape(n, d), madeBy: "contrast");
        for (var first = 0; first < n; first += height)
        {
            var count = Math.Min(height, n - first);
            Tensor strip = Tiles.Rows(u, first, count), h = Tiles.Rows(panel, 0, count), dStrip = Tiles.Rows(dRows, first, count);
            var g = Tiles.Rows(gathered ?? dStrip, 0, count);
            if (wide) gpu.Gemm.Run(h, strip, w, false, true, count, n, d);
            gpu.Launch(
                "contrast_stream", "contrast_gradient", constants, Tiles.Of(type, (long)Launch.Blocks(count, Tiles.Side) * columnTiles), h, wide ? h : u, wide ? null : w,
                state.Numbers, state.Inverse, state.Size, identities, n, d, first, count, side, lengths ? 1 : 0, a, b, c, e);
            gpu.Gemm.Run(g, h, w, false, false, count, d, n);
            gpu.Launch(
                "contrast_sides", "contrast_combine", sides, Launch.WarpPerRow(count), dStrip, dy, g, strip, state.Inverse, state.Size, state.BySize,
                count, n, d, side * n + first);
            if (sum != null) gpu.Gemm.Run(sum, h, strip, true, false, n, d, count, accumulate: first > 0);
            foreach (var view in (ReadOnlySpan<Tensor>)[strip, h, dStrip, g]) view.Release();
        }
        if (sum != null)
            gpu.Launch(
                "contrast_sides", "contrast_combine", sides, Launch.WarpPerRow(n), dColumns, dy, sum, w, state.Inverse, state.Size, state.BySize, n, n, d, (1 - side) * n);
        panel.Release();
        gathered?.Release();
        if (!wide) sum?.Release();
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        int n = u.Shape[0], d = u.Shape[1], height = ContrastPanels.Rows(n, d), other = 1 - side;
        var wide = typeof(T) == typeof(F32);
        T* own = u.At<T>(), across = w.At<T>(), dOwn = dRows.At<T>();
        float* size = state.Size.F32, inverse = state.Inverse.F32, bySize = state.BySize.F32;
        var scale = *dy.F32 / n;
        using var panels = new ContrastPanels<V, TRow>(cpu, state, identities, n, row, lengths, bothWays);
        using var memory = cpu.Scratch(height * panels.Stride);
        using var gathered = cpu.Scratch(wide ? 0 : (long)height * d);
        using var sums = cpu.Scratch(wide || dColumns == null ? 0 : (long)n * d);
        var sum = dColumns == null ? null : wide ? dColumns.F32 : sums.At;
        for (var first = 0; first < n; first += height)
        {
            var count = Math.Min(height, n - first);
            var strip = own + (nint)first * d;
            var g = wide ? (float*)dOwn + (nint)first * d : gathered.At;
            Gemm.Run<V, T, T, F32>(cpu, false, true, count, n, d, strip, d, across, d, (F32*)memory.At, (nint)panels.Stride);
            panels.Slopes(memory.At, first, count, side);
            Gemm.Run<V, F32, T, F32>(cpu, false, false, count, d, n, (F32*)memory.At, (nint)panels.Stride, across, d, (F32*)g, d);
            var at = (nint)side * n + first;
            ContrastRows.Combine<V, T, T>(cpu, dOwn + (nint)first * d, g, strip, inverse + at, size + at, bySize + at, count, d, scale);
            if (sum != null) Gemm.Run<V, F32, T, F32>(cpu, true, false, n, d, count, (F32*)memory.At, (nint)panels.Stride, strip, d, (F32*)sum, d, first > 0);
        }
        if (sum == null) return;
        var last = (nint)other * n;
        ContrastRows.Combine<V, T, T>(cpu, dColumns!.At<T>(), sum, across, inverse + last, size + last, bySize + last, n, d, scale);
    }
}
