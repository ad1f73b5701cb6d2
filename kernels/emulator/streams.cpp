// Immediate mode runs work in the call that queues it. Deferred mode queues it, and runs it only when the host waits: then a
// result read too early is not there yet, and a buffer freed or overwritten too early is gone.
#include "streams.h"
#include "device.h"
#include "errors.h"
#include "graphs.h"
#include "handles.h"
#include "options.h"
#include <algorithm>

namespace emu {

std::recursive_mutex& device_lock() {
    static std::recursive_mutex& lock = *new std::recursive_mutex;
    return lock;
}

static Handles<Stream>& streams = *new Handles<Stream>;
static Stream& legacy = *new Stream;
static std::vector<std::shared_ptr<Queue>>& queues = *new std::vector<std::shared_ptr<Queue>>{legacy.queue};

std::vector<std::shared_ptr<Capture>>& captures() {
    static auto& all = *new std::vector<std::shared_ptr<Capture>>;
    return all;
}

Stream* find_stream(CUstream handle) {
    if ((uintptr_t)handle <= 2) return &legacy;   // null, CU_STREAM_LEGACY and, without its own queue, CU_STREAM_PER_THREAD
    return streams.has(handle) ? handle : nullptr;
}

void run_until(const std::shared_ptr<Queue>& queue, uint64_t ticket) {
    while (queue->finished < ticket && !queue->tasks.empty()) {
        Task task = std::move(queue->tasks.front());
        queue->tasks.pop_front();
        for (auto& a : task.after) run_until(a.first, a.second);
        if (!sticky_error()) task.work();
        queue->finished++;
    }
}

void finish_streams() {
    std::lock_guard<std::recursive_mutex> hold(device_lock());
    for (size_t i = queues.size(); i-- > 0;) run_until(queues[i], queues[i]->submitted);
}

/// The legacy stream follows all blocking streams, and they follow it.
static std::vector<std::pair<std::shared_ptr<Queue>, uint64_t>> implicit_order(Stream* stream) {
    std::vector<std::pair<std::shared_ptr<Queue>, uint64_t>> after;
    if (stream == &legacy) {
        for (Stream* s : streams.all())
            if (s->blocking) after.emplace_back(s->queue, s->queue->submitted);
    } else if (stream->blocking) after.emplace_back(legacy.queue, legacy.queue->submitted);
    return after;
}

CUresult enqueue(CUstream handle, Work work) {
    if (CUresult e = device_error()) return e;
    std::lock_guard<std::recursive_mutex> hold(device_lock());
    Stream* stream = find_stream(handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->capture) {
        if (stream->capture->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
        stream->last = {add_node(*stream->capture, std::move(work), stream->last)};
        return CUDA_SUCCESS;
    }
    if (stream == &legacy)
        for (auto& c : captures())
            if (c->origin->blocking && c->mode != CU_STREAM_CAPTURE_MODE_RELAXED) {
                c->invalid = true;
                return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
            }
    if (!options().deferred) {
        work();
        return CUDA_SUCCESS;
    }
    stream->queue->tasks.push_back({std::move(work), implicit_order(stream)});
    stream->queue->submitted++;
    stream->queue->asked = false;
    return CUDA_SUCCESS;
}

CUresult spoil_capture(Stream* stream) {
    if (!stream->capture) return CUDA_SUCCESS;
    stream->capture->invalid = true;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

CUresult forbidden_in_capture() {
    std::lock_guard<std::recursive_mutex> hold(device_lock());
    for (auto& c : captures())
        if (c->mode == CU_STREAM_CAPTURE_MODE_GLOBAL ||
            (c->mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL && c->thread == std::this_thread::get_id())) {
            c->invalid = true;
            return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        }
    return CUDA_SUCCESS;
}

void reset_events();

void reset_streams() {
    std::lock_guard<std::recursive_mutex> hold(device_lock());
    captures().clear();
    for (Stream* s : streams.all())
        if (streams.remove(s)) delete s;
    legacy = Stream();
    queues.assign(1, legacy.queue);
    reset_events();
    reset_graphs();
}

} // namespace emu

using namespace emu;

API CUresult cuStreamCreate(CUstream* to, unsigned flags) {
    if (CUresult e = device_error()) return e;
    if (!to || flags & ~(unsigned)CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
    std::lock_guard<std::recursive_mutex> hold(device_lock());
    auto* s = new Stream;
    s->blocking = !(flags & CU_STREAM_NON_BLOCKING);
    queues.push_back(s->queue);
    *to = streams.add(s);
    return CUDA_SUCCESS;
}

// What is queued still runs (its queue stays), as CUDA promises.
API CUresult cuStreamDestroy_v2(CUstream handle) {
    if (CUresult e = context_error()) return e;
    std::lock_guard<std::recursive_mutex> hold(device_lock());
    if (!streams.has(handle)) return CUDA_ERROR_INVALID_HANDLE;
    spoil_capture(handle);
    streams.remove(handle);
    queues.erase(std::remove_if(queues.begin(), queues.end(), [&](auto& q) { return q == handle->queue && q->tasks.empty(); }), queues.end());
    for (auto& c : captures()) c->members.erase(std::remove(c->members.begin(), c->members.end(), handle), c->members.end());
    captures().erase(std::remove_if(captures().begin(), captures().end(), [&](auto& c) { return c->origin == handle; }), captures().end());
    delete handle;
    return CUDA_SUCCESS;
}

API CUresult cuStreamSynchronize(CUstream handle) {
    if (CUresult e = context_error()) return e;
    std::lock_guard<std::recursive_mutex> hold(device_lock());
    Stream* stream = find_stream(handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (CUresult e = spoil_capture(stream)) return e;
    run_until(stream->queue, stream->queue->submitted);
    return sticky_error();
}

// Asked for the first time after new work, deferred work is not ready yet; asked again, it is: a program that polls goes on.
API CUresult cuStreamQuery(CUstream handle) {
    if (CUresult e = device_error()) return e;
    std::lock_guard<std::recursive_mutex> hold(device_lock());
    Stream* stream = find_stream(handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (CUresult e = spoil_capture(stream)) return e;
    Queue& q = *stream->queue;
    if (q.finished < q.submitted && !q.asked) {
        q.asked = true;
        return CUDA_ERROR_NOT_READY;
    }
    run_until(stream->queue, q.submitted);
    return sticky_error();
}

API CUresult cuCtxSynchronize(void) {
    if (CUresult e = context_error()) return e;
    if (CUresult e = forbidden_in_capture()) return e;
    finish_streams();
    return sticky_error();
}
