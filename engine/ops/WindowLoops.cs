namespace Plip.Engine;

/// <summary>
/// Attention in windows on the CPU, a window and a head at a time: its rows are brought together in F32, and worked on by the products and the softmax
/// of <see cref="AttentionLoops"/>, scores transposed. Tokens that only pad are keys and no queries.
/// </summary>
internal static unsafe class WindowLoops
{
    /// <summary>y and lse of one window and head.</summary>
    public static void Forward<V, T>(T* y, float* lse, T* qkv, in WindowPlan plan, in WindowInputs x, int window, int head)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        int tokens = x.Map.Tokens, d = x.Width;
        var shape = new Shapes<V>(tokens, d);
        var memory = TaskMemory.Take(HeadWindow.Floats<V>(tokens, d) + shape.Packed + shape.Scores + shape.Rows + shape.Row);
        var w = new HeadWindow(ref memory, tokens, d, shape.Rows, shape.Row, shape.Bias);
        float* packed = Next(ref memory, shape.Packed), scores = Next(ref memory, shape.Scores), outputs = Next(ref memory, shape.Rows), logs = memory;
        w.Gather<V, T>(qkv, x, plan, window, head);
        var scoreBias = w.Bias<V>(plan.Bias(head));
        for (var i = 0; i < w.Queries; i += shape.Block)
        {
            var count = Math.Min(shape.Block, w.Queries - i);
            var ld = AttentionLoops.Pad<V>(count);
            w.Scores<V>(scores, ld, packed, scoreBias, i, count, x.Scale);
            AttentionLoops.SoftmaxColumns<V>(scores, tokens, count, ld, logs + i);
            Gemm.OuterSerial<V>(count, d, tokens, scores, ld, w.V, d, outputs + i * d, d, accumulate: false);
        }
        for (var n = 0; n < w.Queries; n++)
        {
            long row = w.Rows[w.Tokens[n]];
            Engine.Rows.Round<V, T>(y + row * x.Channels + head * d, outputs + n * d, d);
            lse[(long)head * x.Qkv.Rows + row] = logs[n];
        }
    }

    /// <summary>
    /// dq, dk, dv of one head's windows first … end−1, and what they give to the head's columns of the table ((distances, heads)) and of the padding (3C).
    /// </summary>
    public static void Backward<V, T>(
        T* dqkv, float* dtable, float* dpadding, T* dy, float* lse, T* qkv, in WindowPlan plan, in WindowInputs x, int first, int end, int head)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        int tokens = x.Map.Tokens, d = x.Width, c = x.Channels, stride = AttentionLoops.Pad<V>(tokens);
        var shape = new Shapes<V>(tokens, d);
        var memory = TaskMemory.Take(HeadWindow.Floats<V>(tokens, d) + shape.Packed + 2 * shape.Scores + 4 * shape.Rows + shape.Row + shape.Bias);
        var w = new HeadWindow(ref memory, tokens, d, shape.Rows, shape.Row, shape.Bias);
        float* packed = Next(ref memory, shape.Packed), p = Next(ref memory, shape.Scores), dp = Next(ref memory, shape.Scores);
        float* g = Next(ref memory, shape.Rows), dq = Next(ref memory, shape.Rows), dk = Next(ref memory, shape.Rows), dv = Next(ref memory, shape.Rows);
        float* logs = Next(ref memory, shape.Row), dbias = memory;
        new Span<float>(dbias, tokens * stride).Clear();
        for (var part = 0; part < 3; part++) new Span<float>(dpadding + part * c + head * d, d).Clear();
        for (var window = first; window < end; window++)
        {
            w.Gather<V, T>(qkv, x, plan, window, head);
            for (var n = 0; n < w.Queries; n++)
            {
                long row = w.Rows[w.Tokens[n]];
                Engine.Rows.Widen<V, T>(g + n * d, dy + row * c + head * d, d);
                logs[n] = lse[(long)head * x.Qkv.Rows + row];
            }
            if (w.Queries == 0) continue; // a window of padding alone, which nobody asked
            var scoreBias = w.Bias<V>(plan.Bias(head));
            for (var i = 0; i < w.Queries; i += shape.Block)
            {
                var count = Math.Min(shape.Block, w.Queries - i);
                var ld = AttentionLoops.Pad<V>(count);
                w.Scores<V>(p, ld, packed, scoreBias, i, count, x.Scale);
                AttentionLoops.PackTransposed<V, F32>((F32*)(g + i * d), d, count, d, packed, 1f);
                AttentionLoops.Product<V>(tokens, ld, d, w.V, d, packed, dp, ld, accumulate: false);
                AttentionLoops.ScoreGradient<V>(p, dp, tokens, count, ld, logs + i, x.Scale);
                w.AddBias<V>(dbias, stride, dp, ld, i, count);
                AttentionLoops.Pack<V, F32>((F32*)(g + i * d), d, count, d, packed);
                AttentionLoops.Product<V>(tokens, d, count, p, ld, packed, dv, d, accumulate: i > 0);
                AttentionLoops.Pack<V, F32>((F32*)(w.Q + i * d), d, count, d, packed);
                AttentionLoops.Product<V>(tokens, d, count, dp, ld, packed, dk, d, accumulate: i > 0);
                Gemm.OuterSerial<V>(count, d, tokens, dp, ld, w.K, d, dq + i * d, d, accumulate: false);
            }
            w.Scatter<V, T>(dqkv, dpadding, dq, dk, dv, c, head);
        }
        // dS was scaled for dQ and dK.
        var unscaled = 1f / x.Scale;
        for (var b = 0; b < x.Map.Distances; b++) dtable[b * x.Heads + head] = 0;
        for (var key = 0; key < tokens; key++)
            for (var query = 0; query < tokens; query++) dtable[plan.Distances[key * tokens + query] * x.Heads + head] += dbias[key * stride + query] * unscaled;
    }

    private static float* Next(ref float* memory, long floats)
    {
        var at = memory;
        memory += floats;
        return at;
    }

    /// <summary>Floats of what a task works on, each a whole number of cache lines.</summary>
    private readonly struct Shapes<V>(int tokens, int d) where V : struct, IVector<V>
    {
        /// <summary>Queries at once.</summary>
        public int Block => AttentionLoops.QueryBlock<V>();

        public long Rows => Lines((long)tokens * d);

        public long Row => Lines(tokens);

        public long Bias => Lines((long)tokens * AttentionLoops.Pad<V>(tokens));

        public long Scores => Lines((long)tokens * Block);

        public long Packed => Lines((long)AttentionLoops.Pad<V>(d) * Block);

        private static long Lines(long floats) => (floats + 15) / 16 * 16;
    }

    /// <summary>A head's part of one window.</summary>
    private ref struct HeadWindow(ref float* memory, int tokens, int d, long rows, long row, long bias)
    {
        private readonly float* _bias = Next(ref memory, bias);
        private int* _regions;

        /// <summary>Of each token its row, or −1.</summary>
        public int* Rows { get; private set; }

        /// <summary>The tokens that are queries: those that are there.</summary>
        public int* Tokens { get; } = (int*)Next(ref memory, row);

        /// <summary>How many.</summary>
        public int Queries { get; private set; }

        /// <summary>Queries, in the order of <see cref="Tokens"/>; keys and values of all tokens. Each d wide.</summary>
        public float* Q { get; } = Next(ref memory, rows);

        public float* K { get; } = Next(ref memory, rows);

        public float* V { get; } = Next(ref memory, rows);

        public static long Floats<TVector>(int tokens, int d) where TVector : struct, IVector<TVector>
        {
            var shape = new Shapes<TVector>(tokens, d);
            return shape.Row + 3 * shape.Rows + shape.Bias;
        }

        public void Gather<TVector, T>(T* qkv, in WindowInputs x, in WindowPlan plan, int window, int head)
            where TVector : struct, IVector<TVector>
            where T : unmanaged, IElement<T>
        {
            int c = x.Channels, column = head * d;
            Rows = plan.Rows(window);
            _regions = plan.Regions(window);
            Queries = 0;
            var padding = x.Padding == null ? null : x.Padding.F32 + column;
            for (var t = 0; t < tokens; t++)
            {
                if (Rows[t] < 0)
                {
                    Fill(K + t * d, padding == null ? null : padding + c);
                    Fill(V + t * d, padding == null ? null : padding + 2 * c);
                    continue;
                }
                var at = qkv + (long)Rows[t] * 3 * c + column;
                Engine.Rows.Widen<TVector, T>(Q + Queries * d, at, d);
                Engine.Rows.Widen<TVector, T>(K + t * d, at + c, d);
                Engine.Rows.Widen<TVector, T>(V + t * d, at + 2 * c, d);
                Tokens[Queries++] = t;
            }
        }

        private void Fill(float* to, float* from)
        {
            if (from == null) new Span<float>(to, d).Clear();
            else new ReadOnlySpan<float>(from, d).CopyTo(new Span<float>(to, d));
        }

        /// <summary>What is added to this window's scores: the whole window's as they stand, or those of its queries, less for pairs that lie apart.</summary>
        public float* Bias<TVector>(float* ofAll) where TVector : struct, IVector<TVector>
        {
            var apart = false;
            for (var t = 1; t < tokens; t++) apart |= _regions[t] != _regions[0];
            if (!apart && Queries == tokens) return ofAll;
            int from = AttentionLoops.Pad<TVector>(tokens), stride = AttentionLoops.Pad<TVector>(Queries);
            for (var key = 0; key < tokens; key++)
            {
                var to = _bias + key * stride;
                for (var n = 0; n < Queries; n++)
                {
                    var query = Tokens[n];
                    to[n] = ofAll[key * from + query] + (_regions[query] == _regions[key] ? 0 : WindowMap.Apart);
                }
                for (var n = Queries; n < stride; n++) to[n] = 0;
            }
            return _bias;
        }

        /// <summary>Biased scores (keys × count queries from the <paramref name="first"/> on, ld apart).</summary>
        public void Scores<TVector>(float* scores, int ld, float* packed, float* biases, int first, int count, float scale) where TVector : struct, IVector<TVector>
        {
            var stride = AttentionLoops.Pad<TVector>(Queries);
            for (var key = 0; key < tokens; key++)
                new ReadOnlySpan<float>(biases + key * stride + first, ld).CopyTo(new Span<float>(scores + key * ld, ld));
            AttentionLoops.PackTransposed<TVector, F32>((F32*)(Q + first * d), d, count, d, packed, scale);
            AttentionLoops.Product<TVector>(tokens, ld, d, K, d, packed, scores, ld, accumulate: true);
        }

        /// <summary>Adds the gradient of a block of scores to that of all pairs of tokens.</summary>
        public void AddBias<TVector>(float* sums, int stride, float* block, int ld, int first, int count) where TVector : struct, IVector<TVector>
        {
            for (var key = 0; key < tokens; key++)
            {
                if (Queries == tokens) Engine.Rows.AddTo<TVector, F32>(sums + key * stride + first, (F32*)(block + key * ld), count);
                else
                    for (var n = 0; n < count; n++) sums[key * stride + Tokens[first + n]] += block[key * ld + n];
            }
        }

        /// <summary>Gradients to where their tokens lie; those of keys and values that pad are added up.</summary>
        public void Scatter<TVector, T>(T* to, float* padding, float* dq, float* dk, float* dv, int c, int head)
            where TVector : struct, IVector<TVector>
            where T : unmanaged, IElement<T>
        {
            var column = head * d;
            for (int t = 0, n = 0; t < tokens; t++)
            {
                if (Rows[t] < 0)
                {
                    Engine.Rows.AddTo<TVector, F32>(padding + c + column, (F32*)(dk + t * d), d);
                    Engine.Rows.AddTo<TVector, F32>(padding + 2 * c + column, (F32*)(dv + t * d), d);
                    continue;
                }
                var query = dq + n++ * d;
                if (to == null) continue;
                var at = to + (long)Rows[t] * 3 * c + column;
                Engine.Rows.Round<TVector, T>(at, query, d);
                Engine.Rows.Round<TVector, T>(at + c, dk + t * d, d);
                Engine.Rows.Round<TVector, T>(at + 2 * c, dv + t * d, d);
            }
        }
    }
}

/// <summary>What all windows and heads of a call share: the table spread out over pairs of tokens, and where the tokens lie.</summary>
internal readonly unsafe struct WindowPlan
{
    private readonly float* _biases;
    private readonly int* _places;
    private readonly int _tokens, _stride;

    private WindowPlan(float* memory, in WindowInputs x, int stride)
    {
        (_tokens, _stride) = (x.Map.Tokens, stride);
        _biases = memory;
        Distances = (int*)(memory + (long)x.Heads * _tokens * stride);
        _places = Distances + _tokens * _tokens;
    }

    /// <summary>The table's row of each pair: (keys, queries).</summary>
    public int* Distances { get; }

    /// <summary>Floats it takes.</summary>
    public static long Floats<V>(in WindowInputs x) where V : struct, IVector<V> =>
        x.Map.Tokens * ((long)x.Heads * AttentionLoops.Pad<V>(x.Map.Tokens) + x.Map.Tokens + 2L * x.Map.Count);

    /// <summary>Makes it in so much memory.</summary>
    public static WindowPlan Of<V>(CpuDevice cpu, float* memory, WindowInputs x) where V : struct, IVector<V>
    {
        var (map, heads, tokens) = (x.Map, x.Heads, x.Map.Tokens);
        var plan = new WindowPlan(memory, x, AttentionLoops.Pad<V>(tokens));
        var table = x.Table.F32;
        for (var key = 0; key < tokens; key++)
            for (var query = 0; query < tokens; query++) plan.Distances[key * tokens + query] = map.Distance(query, key);
        cpu.For(heads, head =>
        {
            var to = plan.Bias(head);
            new Span<float>(to, tokens * plan._stride).Clear();
            for (var key = 0; key < tokens; key++)
                for (var query = 0; query < tokens; query++) to[key * plan._stride + query] = table[plan.Distances[key * tokens + query] * heads + head];
        });
        cpu.For(map.Count, window =>
        {
            int* rows = plan.Rows(window), regions = plan.Regions(window);
            for (var t = 0; t < tokens; t++) (rows[t], regions[t]) = map.Find(window, t);
        });
        return plan;
    }

    /// <summary>A head's biases: (keys, queries), queries padded to whole vectors.</summary>
    public float* Bias(int head) => _biases + (long)head * _tokens * _stride;

    /// <summary>Of each token of a window its row, or −1.</summary>
    public int* Rows(int window) => _places + 2L * window * _tokens;

    /// <summary>Of each token of a window its region.</summary>
    public int* Regions(int window) => Rows(window) + _tokens;
}
