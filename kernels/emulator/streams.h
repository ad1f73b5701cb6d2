// Streams, events and capture: where work waits for its turn.
#pragma once
#include "cuda_abi.h"
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace emu {

using Work = std::function<void()>;

/// Held by every call that queues or runs work. Recursive: finishing one stream may have to run another.
std::recursive_mutex& device_lock();

struct Queue;
struct Task { Work work; std::vector<std::pair<std::shared_ptr<Queue>, uint64_t>> after; };

/// Work in order. In immediate mode it is always empty; in deferred mode it runs when something waits for it.
struct Queue { std::deque<Task> tasks; uint64_t submitted = 0, finished = 0; bool asked = false; };

/// A capture under way: launches and copies become nodes of a graph, with the nodes they must follow.
struct Capture { Graph* graph; Stream* origin; int mode; std::thread::id thread; bool invalid; std::vector<Stream*> members; };

/// What a recorded event stands for: a place in a queue, or (in a capture) some nodes.
struct Moment {
    std::shared_ptr<Queue> queue;
    uint64_t ticket = 0;
    bool done = false, asked = false;
    double milliseconds = 0;
    std::shared_ptr<Capture> capture;
    std::vector<int> nodes;
};

/// Queues, runs at once or captures, as the stream stands. The handle is checked.
CUresult enqueue(CUstream stream, Work work);

/// The stream of a handle (null: the legacy stream), or null where the handle is dead.
Stream* find_stream(CUstream handle);

/// Runs a queue up to and including `ticket`.
void run_until(const std::shared_ptr<Queue>& queue, uint64_t ticket);

/// Runs all there is, the youngest stream first: an order no program may rely on.
void finish_streams();

/// Drops all work, streams, events and graphs.
void reset_streams();
void reset_graphs();

/// Waiting or allocating while this thread captures: CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, and the capture is spoilt.
CUresult forbidden_in_capture();

/// The stream's own capture, spoilt by an operation that cannot be captured; CUDA_SUCCESS where it has none.
CUresult spoil_capture(Stream* stream);

std::vector<std::shared_ptr<Capture>>& captures();

} // namespace emu

struct Stream {
    bool blocking = true;
    std::shared_ptr<emu::Queue> queue = std::make_shared<emu::Queue>();
    std::shared_ptr<emu::Capture> capture;
    std::vector<int> last;   // nodes that the next captured one follows
};

struct Event { unsigned flags = 0; std::shared_ptr<emu::Moment> moment; };
