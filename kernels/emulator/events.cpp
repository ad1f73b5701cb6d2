// Events. A record makes a new Moment; a wait keeps the Moment it saw, so recording the event again does not move it.
#include "device.h"
#include "errors.h"
#include "graphs.h"
#include "handles.h"
#include "options.h"
#include "streams.h"
#include <algorithm>
#include <chrono>

namespace emu {

static Handles<Event>& events = *new Handles<Event>;

static double now() { return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void reset_events() {
    for (Event* e : events.all())
        if (events.remove(e)) delete e;
}

static void add_nodes(std::vector<int>& to, const std::vector<int>& from) {
    for (int n : from)
        if (std::find(to.begin(), to.end(), n) == to.end()) to.push_back(n);
}

} // namespace emu

using namespace emu;

API CUresult cuEventCreate(CUevent* to, unsigned flags) {
    if (CUresult e = device_error()) return e;
    if (!to || flags > 7) return CUDA_ERROR_INVALID_VALUE;
    auto* event = new Event;
    event->flags = flags;
    *to = events.add(event);
    return CUDA_SUCCESS;
}

API CUresult cuEventDestroy_v2(CUevent event) {
    if (CUresult e = context_error()) return e;
    if (!events.remove(event)) return CUDA_ERROR_INVALID_HANDLE;
    delete event;
    return CUDA_SUCCESS;
}

API CUresult cuEventRecord(CUevent event, CUstream handle) {
    if (CUresult e = device_error()) return e;
    std::lock_guard<std::recursive_mutex> hold(device_lock());
    Stream* stream = find_stream(handle);
    if (!stream || !events.has(event)) return CUDA_ERROR_INVALID_HANDLE;
    auto moment = std::make_shared<Moment>();
    if (stream->capture) {
        if (stream->capture->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
        moment->capture = stream->capture;
        moment->nodes = stream->last;
        event->moment = moment;
        return CUDA_SUCCESS;
    }
    moment->queue = stream->queue;
    if (CUresult e = enqueue(handle, [moment] { moment->milliseconds = now(); moment->done = true; })) return e;
    moment->ticket = stream->queue->submitted;
    event->moment = moment;
    return CUDA_SUCCESS;
}

API CUresult cuStreamWaitEvent(CUstream handle, CUevent event, unsigned) {
    if (CUresult e = device_error()) return e;
    std::lock_guard<std::recursive_mutex> hold(device_lock());
    Stream* stream = find_stream(handle);
    if (!stream || !events.has(event)) return CUDA_ERROR_INVALID_HANDLE;
    auto moment = event->moment;
    if (!moment) return CUDA_SUCCESS;   // never recorded: nothing to wait for
    if (moment->capture) {              // this is how another stream joins a capture
        bool active = std::find(captures().begin(), captures().end(), moment->capture) != captures().end();
        if (!active) return CUDA_ERROR_CAPTURED_EVENT;
        if (stream->capture && stream->capture != moment->capture) {
            stream->capture->invalid = moment->capture->invalid = true;
            return CUDA_ERROR_STREAM_CAPTURE_MERGE;
        }
        if (!stream->capture) {
            stream->capture = moment->capture;
            stream->last.clear();
            moment->capture->members.push_back(stream);
        }
        add_nodes(stream->last, moment->nodes);
        return CUDA_SUCCESS;
    }
    if (stream->capture) {
        stream->capture->invalid = true;
        return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
    }
    if (!options().deferred || moment->done) return CUDA_SUCCESS;
    if (CUresult e = enqueue(handle, [] {})) return e;
    stream->queue->tasks.back().after.emplace_back(moment->queue, moment->ticket);
    return CUDA_SUCCESS;
}

API CUresult cuEventQuery(CUevent event) {
    if (CUresult e = device_error()) return e;
    std::lock_guard<std::recursive_mutex> hold(device_lock());
    if (!events.has(event)) return CUDA_ERROR_INVALID_HANDLE;
    auto moment = event->moment;
    if (!moment) return CUDA_SUCCESS;
    if (moment->capture) return CUDA_ERROR_CAPTURED_EVENT;
    if (!moment->done && !moment->asked) {
        moment->asked = true;
        return CUDA_ERROR_NOT_READY;
    }
    run_until(moment->queue, moment->ticket);
    return sticky_error();
}

API CUresult cuEventSynchronize(CUevent event) {
    if (CUresult e = context_error()) return e;
    std::lock_guard<std::recursive_mutex> hold(device_lock());
    if (!events.has(event)) return CUDA_ERROR_INVALID_HANDLE;
    auto moment = event->moment;
    if (moment && moment->capture) return CUDA_ERROR_CAPTURED_EVENT;
    if (moment) run_until(moment->queue, moment->ticket);
    return sticky_error();
}

API CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
    if (CUresult e = device_error()) return e;
    std::lock_guard<std::recursive_mutex> hold(device_lock());
    if (!milliseconds) return CUDA_ERROR_INVALID_VALUE;
    for (CUevent e : {start, end})
        if (!events.has(e) || e->flags & CU_EVENT_DISABLE_TIMING || !e->moment || e->moment->capture) return CUDA_ERROR_INVALID_HANDLE;
    if (!start->moment->done || !end->moment->done) return CUDA_ERROR_NOT_READY;
    *milliseconds = (float)(end->moment->milliseconds - start->moment->milliseconds);
    return CUDA_SUCCESS;
}
