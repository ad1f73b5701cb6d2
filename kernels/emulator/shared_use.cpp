#include "shared_use.h"
#include <cctype>
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>
#include <vector>

namespace emu {

struct Mentions { std::set<std::string> variables, names; };

static bool in_symbol(char c) { return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '$'; }

/// What a line of a function mentions: thread-local variables by their relocation, all else by name.
static void read_line(const std::string& line, Mentions& to) {
    for (size_t at = 0; at < line.size();) {
        if (!in_symbol(line[at])) {
            at++;
            continue;
        }
        size_t end = at;
        while (end < line.size() && in_symbol(line[end])) end++;
        std::string name = line.substr(at, end - at), relocation;
        for (at = end; at < line.size() && (line[at] == '@' || in_symbol(line[at])); at++) relocation += (char)tolower((unsigned char)line[at]);
        bool variable = false;
        for (const char* r : {"@tlsdesc", "@tpoff", "@dtpoff", "@gottpoff", "@tlsgd", "@tlsld"}) variable = variable || relocation == r;
        (variable ? to.variables : to.names).insert(name);
    }
}

/// "softmax" of _ZL15emu_run_softmaxPPv; "" for another function.
static std::string kernel_of(const std::string& symbol) {
    if (symbol.rfind("_ZL", 0) != 0) return "";
    char* rest;
    unsigned long length = strtoul(symbol.c_str() + 3, &rest, 10);
    std::string name = std::string(rest).substr(0, length), mark = "emu_run_";
    return name.rfind(mark, 0) == 0 ? name.substr(mark.size()) : "";
}

std::string add_shared_use(const std::string& assembly) {
    std::map<std::string, Mentions> functions;
    std::istringstream lines(assembly);
    std::string current;
    for (std::string line; std::getline(lines, line);) {
        if (line.rfind("\t.type\t", 0) == 0 && line.find("@function") != std::string::npos) current = line.substr(7, line.find(',') - 7);
        else if (line.rfind("\t.size\t", 0) == 0) current.clear();
        else if (line.rfind("\t.set\t", 0) == 0) {   // one function under two names
            size_t comma = line.find(',');
            functions[line.substr(6, comma - 6)].names.insert(line.substr(comma + 1));
        } else if (!current.empty() && line.rfind("\t.", 0) != 0) read_line(line, functions[current]);
    }
    std::string out = assembly;
    for (auto& f : functions) {
        std::string kernel = kernel_of(f.first);
        if (kernel.empty()) continue;
        std::set<std::string> seen{f.first}, variables;
        for (std::vector<std::string> open{f.first}; !open.empty();) {
            const Mentions& m = functions[open.back()];
            open.pop_back();
            variables.insert(m.variables.begin(), m.variables.end());
            for (auto& name : m.names)
                if (functions.count(name) && seen.insert(name).second) open.push_back(name);
        }
        out += "\t.section\t.rodata\n\t.globl\temu_shared_" + kernel + "\nemu_shared_" + kernel + ":\n\t.string\t\"";
        for (auto& v : variables) out += v + "\\n";
        out += "\"\n";
    }
    return out;
}

} // namespace emu
