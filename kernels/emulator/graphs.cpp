// Capture and replay. Replay runs the nodes in the order they were captured, or, in random mode, in another order that the
// edges allow, so that an edge that is missing shows.
#include "graphs.h"
#include "device.h"
#include "errors.h"
#include "handles.h"
#include "options.h"
#include <algorithm>

namespace emu {

static Handles<Graph>& graphs = *new Handles<Graph>;
static Handles<GraphExec>& executables = *new Handles<GraphExec>;

int add_node(Capture& capture, Work work, const std::vector<int>& after) {
    capture.graph->nodes.push_back({std::move(work), after});
    return (int)capture.graph->nodes.size() - 1;
}

void reset_graphs() {
    for (Graph* g : graphs.all())
        if (graphs.remove(g)) delete g;
    for (GraphExec* g : executables.all())
        if (executables.remove(g)) delete g;
}

static void replay(const std::vector<Node>& nodes) {
    if (!options().random) {
        for (auto& node : nodes)
            if (!sticky_error()) node.work();
        return;
    }
    static unsigned turn = 0;
    unsigned random = options().seed * 2654435761u + ++turn * 40503u + 1;
    std::vector<char> done(nodes.size());
    for (size_t left = nodes.size(); left > 0; left--) {
        std::vector<size_t> ready;
        for (size_t i = 0; i < nodes.size(); i++)
            if (!done[i] && std::all_of(nodes[i].after.begin(), nodes[i].after.end(), [&](int a) { return done[(size_t)a]; })) ready.push_back(i);
        random = random * 1664525u + 1013904223u;
        size_t pick = ready[(random >> 8) % ready.size()];
        done[pick] = 1;
        if (!sticky_error()) nodes[pick].work();
    }
}

/// All work has found its way back to the stream that began: every last node is one the next would follow.
static bool joined(const Capture& capture) {
    auto& nodes = capture.graph->nodes;
    std::vector<char> followed(nodes.size());
    for (auto& node : nodes)
        for (int a : node.after) followed[(size_t)a] = 1;
    for (int a : capture.origin->last) followed[(size_t)a] = 1;
    return std::all_of(followed.begin(), followed.end(), [](char f) { return f; });
}

} // namespace emu

using namespace emu;

API CUresult cuStreamBeginCapture_v2(CUstream handle, int mode) {
    if (CUresult e = device_error()) return e;
    std::lock_guard<std::recursive_mutex> hold(device_lock());
    Stream* stream = find_stream(handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (mode < 0 || mode > 2) return CUDA_ERROR_INVALID_VALUE;
    if (stream == find_stream(nullptr)) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (stream->capture) return CUDA_ERROR_INVALID_VALUE;
    auto capture = std::make_shared<Capture>(Capture{new Graph, stream, mode, std::this_thread::get_id(), false, {stream}});
    stream->capture = capture;
    stream->last.clear();
    captures().push_back(capture);
    return CUDA_SUCCESS;
}

API CUresult cuStreamEndCapture(CUstream handle, CUgraph* to) {
    if (CUresult e = context_error()) return e;
    std::lock_guard<std::recursive_mutex> hold(device_lock());
    Stream* stream = find_stream(handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (!to) return CUDA_ERROR_INVALID_VALUE;
    auto capture = stream->capture;
    *to = nullptr;
    if (!capture) return CUDA_ERROR_INVALID_VALUE;
    if (capture->origin != stream) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
    if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED && capture->thread != std::this_thread::get_id()) return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    CUresult result = capture->invalid ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : joined(*capture) ? CUDA_SUCCESS : CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
    captures().erase(std::remove(captures().begin(), captures().end(), capture), captures().end());
    for (Stream* member : capture->members) {
        member->capture.reset();
        member->last.clear();
    }
    if (result) delete capture->graph;
    else *to = graphs.add(capture->graph);
    return result;
}

API CUresult cuStreamIsCapturing(CUstream handle, int* status) {
    if (CUresult e = context_error()) return e;
    std::lock_guard<std::recursive_mutex> hold(device_lock());
    Stream* stream = find_stream(handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (!status) return CUDA_ERROR_INVALID_VALUE;
    *status = !stream->capture ? CU_STREAM_CAPTURE_STATUS_NONE
            : stream->capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    return CUDA_SUCCESS;
}

API CUresult cuGraphInstantiateWithFlags(CUgraphExec* to, CUgraph graph, unsigned long long) {
    if (CUresult e = device_error()) return e;
    if (!to) return CUDA_ERROR_INVALID_VALUE;
    if (!graphs.has(graph)) return CUDA_ERROR_INVALID_HANDLE;
    *to = executables.add(new GraphExec{std::make_shared<const std::vector<Node>>(graph->nodes)});
    return CUDA_SUCCESS;
}

API CUresult cuGraphLaunch(CUgraphExec graph, CUstream handle) {
    if (CUresult e = device_error()) return e;
    std::lock_guard<std::recursive_mutex> hold(device_lock());
    Stream* stream = find_stream(handle);
    if (!stream || !executables.has(graph)) return CUDA_ERROR_INVALID_HANDLE;
    auto nodes = graph->nodes;   // the executable may be destroyed while queued
    return enqueue(handle, [nodes] { replay(*nodes); });
}

API CUresult cuGraphExecDestroy(CUgraphExec graph) {
    if (CUresult e = context_error()) return e;
    if (!executables.remove(graph)) return CUDA_ERROR_INVALID_HANDLE;
    delete graph;
    return CUDA_SUCCESS;
}

API CUresult cuGraphDestroy(CUgraph graph) {
    if (CUresult e = context_error()) return e;
    if (!graphs.remove(graph)) return CUDA_ERROR_INVALID_HANDLE;
    delete graph;
    return CUDA_SUCCESS;
}
