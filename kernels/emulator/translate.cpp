// Only extern "C" kernels can be looked up by name, as with the driver; others are reached by name expressions.
#include "translate.h"
#include <cctype>
#include <cstdlib>
#include <set>
#include <sstream>

namespace emu {

static const std::string global_mark = "EMU_GLOBAL_MARK", bounds_mark = "EMU_BOUNDS_MARK";

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

/// "softmax.cu:12" for a place in preprocessed text, from the line marker before it.
static std::string place(const std::string& text, size_t at) {
    size_t marker = text.rfind("\n# ", at);
    marker = marker == std::string::npos ? 0 : marker + 1;
    size_t end = text.find('\n', marker), quote = text.find('"', marker);
    if (text.compare(marker, 2, "# ") != 0 || quote > end) return "";
    long line = strtol(text.c_str() + marker + 2, nullptr, 10);
    for (size_t i = end + 1; i < at; i++) line += text[i] == '\n';
    return text.substr(quote + 1, text.find('"', quote + 1) - quote - 1) + ":" + std::to_string(line);
}

/// Behind a string or character literal that begins at `at`.
static size_t after_literal(const std::string& s, size_t at) {
    char quote = s[at++];
    while (at < s.size() && s[at] != quote) at += s[at] == '\\' ? 2 : 1;
    return at + 1;
}

/// Behind the bracket that closes the one at `at`.
static size_t after_brackets(const std::string& s, size_t at) {
    int depth = 0;
    while (at < s.size()) {
        if (s[at] == '"' || s[at] == '\'') {
            at = after_literal(s, at);
            continue;
        }
        if (s[at] == '(') depth++;
        if (s[at] == ')' && --depth == 0) return at + 1;
        at++;
    }
    return at;
}

static std::string first_argument(const std::string& s) {
    int depth = 0;
    for (size_t i = 0; i < s.size(); i++) {
        if (s[i] == '(' || s[i] == '<') depth++;
        if (s[i] == ')' || s[i] == '>') depth--;
        if (s[i] == ',' && depth == 0) return s.substr(0, i);
    }
    return s;
}

/// Does text that ends before `at` end with extern "C"?
static bool after_extern_c(const std::string& s, size_t at) {
    auto back = [&] { while (at > 0 && isspace((unsigned char)s[at - 1])) at--; };
    back();
    if (at < 3 || s.compare(at - 3, 3, "\"C\"") != 0) return false;
    at -= 3;
    back();
    return at >= 6 && s.compare(at - 6, 6, "extern") == 0;
}

struct Found { std::string name, bounds; };

/// Reads the declaration behind a mark: `void __launch_bounds__(256) name(`.
static Found read_kernel(const std::string& s, size_t at) {
    Found f;
    std::string word;
    while (at < s.size() && s[at] != ';' && s[at] != '{') {
        if (is_word(s[at])) {
            size_t begin = at;
            while (at < s.size() && is_word(s[at])) at++;
            word = s.substr(begin, at - begin);
        } else if (s[at] == '(') {
            size_t end = after_brackets(s, at);
            if (word == bounds_mark) f.bounds = first_argument(s.substr(at + 1, end - at - 2));
            else if (word != "__attribute__" && word != "alignas") {
                f.name = word;
                return f;
            }
            at = end;
        } else at++;
    }
    return f;
}

static std::string identifier(const std::string& expression, size_t number) {
    std::string name;
    for (char c : expression)
        if (is_word(c)) name += c;
        else if (!name.empty() && name.back() != '_' && c != ' ') name += '_';
    return name + "_k" + std::to_string(number);
}

static std::string base_name(const std::string& expression) {
    std::string name = expression.substr(0, expression.find('<'));
    size_t colons = name.rfind("::");
    if (colons != std::string::npos) name = name.substr(colons + 2);
    while (!name.empty() && !is_word(name.back())) name.pop_back();
    return name;
}

static std::string registration(const std::string& symbol, const std::string& expression, const std::string& bounds) {
    std::string base = base_name(expression), signature = "EmuSignature<decltype(&" + expression + ")>";
    const std::string visible = "extern \"C\" __attribute__((visibility(\"default\"))) ";
    std::string text = "__attribute__((no_sanitize(\"thread\"))) static void emu_run_" + symbol + "(void** p) { " + signature + "::call<&" + expression + ">(p); }\n" + visible + "const EmuKernel emu_kernel_" + symbol + " = {emu_run_" + symbol + ", " + signature + "::count, " + signature + "::sizes, (int)(" + (bounds.empty() ? "0" : bounds) + ")};\n" + visible + "const char* const emu_base_" + symbol + " = \"" + base + "\";\n";
    return text;
}

Translation translate(const std::string& s, const std::vector<std::string>& expressions) {
    Translation t;
    std::vector<bool> braces;   // extern "C" { … } or not
    std::vector<Found> kernels;
    std::set<std::string> names;
    size_t kept = 0;
    std::string early_bounds;   // extern "C" __launch_bounds__(n) __global__ …
    bool early_c = false;
    auto keep_until = [&](size_t at, size_t next) {
        t.text.append(s, kept, at - kept);
        for (size_t i = at; i < next; i++) t.text += s[i] == '\n' ? "\n" : "";
        kept = next;
    };
    for (size_t at = 0; at < s.size();) {
        char c = s[at];
        if (c == '#' && (at == 0 || s[at - 1] == '\n')) {
            at = s.find('\n', at);
            if (at == std::string::npos) break;
        } else if (c == '"' || (c == '\'' && !(at > 0 && isalnum((unsigned char)s[at - 1])))) at = after_literal(s, at);
        else if (c == '{') {
            braces.push_back(after_extern_c(s, at));
            at++;
        } else if (c == '}') {
            if (!braces.empty()) braces.pop_back();
            at++;
        } else if (is_word(c)) {
            size_t end = at;
            while (end < s.size() && is_word(s[end])) end++;
            size_t length = end - at;
            if (s.compare(at, length, global_mark) == 0) {
                bool c_name = early_c || after_extern_c(s, at) || (!braces.empty() && braces.back());
                Found f = read_kernel(s, end);
                if (f.bounds.empty()) f.bounds = early_bounds;
                early_bounds.clear();
                early_c = false;
                if (c_name && !f.name.empty() && names.insert(f.name).second) kernels.push_back(f);
                keep_until(at, end);
            } else if (s.compare(at, length, bounds_mark) == 0) {
                size_t open = end;
                end = after_brackets(s, end);
                if (after_extern_c(s, at)) {
                    early_c = true;
                    early_bounds = first_argument(s.substr(open + 1, end - open - 2));
                }
                keep_until(at, end);
            } else if (s.compare(at, length, "extern") == 0) {
                size_t next = end;
                while (next < s.size() && isspace((unsigned char)s[next])) next++;
                if (s.compare(next, 12, "thread_local") == 0)
                    t.error = place(s, at) + ": error: extern __shared__ is written DYN_SMEM(T, name) (smem.cuh)\n";
            }
            at = end;
        } else at++;
    }
    t.text.append(s, kept, std::string::npos);
    t.text += "\n# 1 \"emulator_registration\"\n";
    for (auto& k : kernels) t.text += registration(k.name, k.name, k.bounds);
    for (size_t i = 0; i < expressions.size(); i++) {
        std::string e = expressions[i].substr(expressions[i].rfind('&', 0) == 0 ? 1 : 0), symbol = identifier(e, i);
        t.lowered[expressions[i]] = symbol;
        t.text += "# 1 \"name expression " + e + "\"\n" + registration(symbol, e, "");
    }
    t.text += "# 1 \"emulator_registration\"\nextern \"C\" { __attribute__((visibility(\"default\"))) thread_local char emu_anchor[64];\n"
              "__attribute__((visibility(\"default\"), no_sanitize(\"thread\"))) char* emu_anchor_address() { return emu_anchor; } }\n";
    return t;
}

std::string pad_shared(const std::string& assembly) {
    std::istringstream lines(assembly);
    std::string out;
    bool shared = false;
    for (std::string line; std::getline(lines, line);) {
        if (line.rfind("\t.section", 0) == 0) shared = line.find(".tbss") != std::string::npos || line.find(".tdata") != std::string::npos;
        else if (line == "\t.text" || line == "\t.data" || line == "\t.bss") shared = false;
        out += line + "\n";
        if (shared && line.rfind("\t.zero", 0) == 0) out += "\t.zero\t256\n";
    }
    return out;
}

} // namespace emu
