#include "options.h"
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <thread>
#include <unistd.h>

namespace emu {

// More OS threads gain little for grids of a test's size, and each brings up to 1,024 guarded stacks.
static constexpr unsigned max_threads = 16;

static Options defaults() {
    Options o;
    o.threads = std::thread::hardware_concurrency();
    if (o.threads == 0) o.threads = 1;
    if (o.threads > max_threads) o.threads = max_threads;
    o.memory = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGE_SIZE);
    return o;
}

bool parse_options(const char* text, Options& to, std::string& error) {
    Options o = defaults();
    std::istringstream words(text ? text : "");
    for (std::string word; std::getline(words, word, ',');) {
        if (word.empty()) continue;
        size_t equals = word.find('=');
        std::string name = word.substr(0, equals), value = equals == std::string::npos ? "" : word.substr(equals + 1);
        char* end = nullptr;
        unsigned long number = strtoul(value.c_str(), &end, 10);
        bool numeric = !value.empty() && *end == 0, bare = equals == std::string::npos;
        if (name == "check" && bare) o.check = true;
        else if (name == "strict" && bare) o.strict = true;
        else if (name == "deferred" && bare) o.deferred = true;
        else if (name == "keep" && bare) o.keep = true;
        else if (name == "random" && (bare || numeric)) o.random = true, o.seed = (unsigned)number;
        else if (name == "threads" && numeric && number >= 1 && number <= 256) o.threads = (unsigned)number;
        else if (name == "capability" && numeric && number >= 70 && number <= 129) o.capability = (unsigned)number;
        else if (name == "memory" && numeric && number >= 1) o.memory = (size_t)number << 20;
        else {
            error = "PLIP_EMULATOR: '" + word + "' is not one of check, strict, random[=SEED], deferred, keep, threads=1..256, "
                    "capability=70..129, memory=MEGABYTES";
            return false;
        }
    }
    to = o;
    return true;
}

Options& options() {
    static Options& current = *[] {
        auto* o = new Options(defaults());
        std::string error;
        if (!parse_options(getenv("PLIP_EMULATOR"), *o, error)) {
            // A misspelt "check" that silently checks nothing would be the worst outcome.
            fprintf(stderr, "%s\n", error.c_str());
            abort();
        }
        return o;
    }();
    return current;
}

} // namespace emu
