#include "symbols.h"
#include "process.h"
#include <cstring>
#include <cxxabi.h>
#include <elf.h>
#include <sstream>
#include <unistd.h>

namespace emu {

bool read_symbols(Image& image, const uint8_t* bytes, size_t size) {
    Elf64_Ehdr head;
    if (size < sizeof head) return false;
    memcpy(&head, bytes, sizeof head);
    if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_shoff + (uint64_t)head.e_shnum * sizeof(Elf64_Shdr) > size ||
        head.e_phoff + (uint64_t)head.e_phnum * sizeof(Elf64_Phdr) > size) return false;
    auto* segments = (const Elf64_Phdr*)(bytes + head.e_phoff);
    for (int i = 0; i < head.e_phnum; i++)
        if (segments[i].p_type == PT_TLS) image.shared_bytes = segments[i].p_memsz;
    auto* sections = (const Elf64_Shdr*)(bytes + head.e_shoff);
    bool anchored = false;
    for (int i = 0; i < head.e_shnum; i++) {
        const Elf64_Shdr& s = sections[i];
        if (s.sh_type != SHT_SYMTAB || s.sh_link >= head.e_shnum || s.sh_offset + s.sh_size > size) continue;
        auto* symbols = (const Elf64_Sym*)(bytes + s.sh_offset);
        auto* names = (const char*)(bytes + sections[s.sh_link].sh_offset);
        for (size_t k = 0; k < s.sh_size / sizeof(Elf64_Sym); k++) {
            if (ELF64_ST_TYPE(symbols[k].st_info) != STT_TLS || symbols[k].st_size == 0) continue;
            std::string name = names + symbols[k].st_name;
            if (name == "emu_anchor") image.anchor_offset = symbols[k].st_value, anchored = true;
            else image.shared.push_back({name, symbols[k].st_value, symbols[k].st_size});
        }
    }
    return anchored;
}

static std::string file_name(const std::string& path) {
    // Names as the program gave them: relative to the folder of its compilation, which is gone.
    size_t cut = path.rfind("/plip-kernel-");
    if (cut == std::string::npos) return path;
    size_t slash = path.find('/', cut + 1);
    return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::string source_of(const Image& image, uint64_t address, bool after_call) {
    if (address < image.begin || address >= image.end) return "";
    char offset[32];
    snprintf(offset, sizeof offset, "0x%llx", (unsigned long long)(address - image.begin - (after_call ? 1 : 0)));
    std::string out;
    if (run_process({"addr2line", "-i", "-e", image.path, offset}, "", out) != 0) return "";
    std::istringstream lines(out);
    std::string text;
    int kept = 0;
    for (std::string line; std::getline(lines, line);) {
        line = line.substr(0, line.find(" (discriminator"));
        line = file_name(line);
        bool ours = line.find("emulator_shim.h:") != std::string::npos || line.rfind("emulator_registration", 0) == 0 || line.rfind("name expression", 0) == 0;
        if (ours || line.rfind("??", 0) == 0) continue;   // the kernel's own lines only
        if (kept++ == 0) text = line;
        else text += ", in " + line;
    }
    return text;
}

std::string shared_name(const Image& image, size_t offset) {
    for (auto& v : image.shared)
        if (offset >= v.offset && offset < v.offset + v.bytes) {
            int status;
            char* plain = abi::__cxa_demangle(v.symbol.c_str(), nullptr, nullptr, &status);
            std::string name = status == 0 ? plain : v.symbol;
            free(plain);
            size_t colons = name.rfind("::");
            return (colons == std::string::npos ? name : name.substr(colons + 2)) + " + " + std::to_string(offset - v.offset) + " bytes";
        }
    return "";
}

} // namespace emu
