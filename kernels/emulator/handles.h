// Handles that are live: what the host passes is looked up before it is used, so a stale one is an error and not a crash.
#pragma once
#include <mutex>
#include <unordered_set>
#include <vector>

namespace emu {

template <class T> class Handles {
public:
    T* add(T* handle) {
        std::lock_guard<std::mutex> hold(lock_);
        live_.insert(handle);
        return handle;
    }
    bool has(T* handle) const {
        std::lock_guard<std::mutex> hold(lock_);
        return live_.count(handle) != 0;
    }
    /// Takes it out; false where it is not live (destroyed twice, or never made).
    bool remove(T* handle) {
        std::lock_guard<std::mutex> hold(lock_);
        return live_.erase(handle) != 0;
    }
    std::vector<T*> all() const {
        std::lock_guard<std::mutex> hold(lock_);
        return {live_.begin(), live_.end()};
    }

private:
    mutable std::mutex lock_;
    std::unordered_set<T*> live_;
};

} // namespace emu
