// The NVRTC functions.
#include "compiler.h"
#include "handles.h"
#include <cstring>

struct Program {
    emu::Source source;
    emu::Compiled compiled;
    bool tried = false;
};
using nvrtcProgram = Program*;

namespace emu {
static Handles<Program>& programs = *new Handles<Program>;
}
using namespace emu;

API nvrtcResult nvrtcVersion(int* major, int* minor) {
    if (!major || !minor) return NVRTC_ERROR_INVALID_INPUT;
    *major = 12;
    *minor = 4;
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcGetNumSupportedArchs(int* count) {
    if (!count) return NVRTC_ERROR_INVALID_INPUT;
    *count = (int)(sizeof supported_archs / sizeof *supported_archs);
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcGetSupportedArchs(int* archs) {
    if (!archs) return NVRTC_ERROR_INVALID_INPUT;
    memcpy(archs, supported_archs, sizeof supported_archs);
    return NVRTC_SUCCESS;
}

API const char* nvrtcGetErrorString(nvrtcResult result) {
    static const char* const names[] = {"NVRTC_SUCCESS", "NVRTC_ERROR_OUT_OF_MEMORY", "NVRTC_ERROR_PROGRAM_CREATION_FAILURE", "NVRTC_ERROR_INVALID_INPUT",
        "NVRTC_ERROR_INVALID_PROGRAM", "NVRTC_ERROR_INVALID_OPTION", "NVRTC_ERROR_COMPILATION", "NVRTC_ERROR_BUILTIN_OPERATION_FAILURE",
        "NVRTC_ERROR_NO_NAME_EXPRESSIONS_AFTER_COMPILATION", "NVRTC_ERROR_NO_LOWERED_NAMES_BEFORE_COMPILATION", "NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID",
        "NVRTC_ERROR_INTERNAL_ERROR"};
    return (unsigned)result < sizeof names / sizeof *names ? names[result] : "NVRTC_ERROR unknown";
}

API nvrtcResult nvrtcCreateProgram(nvrtcProgram* to, const char* text, const char* name, int headers, const char* const* header_texts, const char* const* header_names) {
    if (!to || !text || headers < 0 || (headers > 0 && (!header_texts || !header_names))) return NVRTC_ERROR_INVALID_INPUT;
    auto* p = new Program;
    p->source.text = text;
    p->source.name = name && *name ? name : "default_program";
    for (int i = 0; i < headers; i++) p->source.headers.emplace_back(header_names[i], header_texts[i]);
    *to = programs.add(p);
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcDestroyProgram(nvrtcProgram* program) {
    if (!program || !programs.remove(*program)) return NVRTC_ERROR_INVALID_PROGRAM;
    delete *program;
    *program = nullptr;
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcAddNameExpression(nvrtcProgram p, const char* expression) {
    if (!programs.has(p)) return NVRTC_ERROR_INVALID_PROGRAM;
    if (!expression) return NVRTC_ERROR_INVALID_INPUT;
    if (p->tried) return NVRTC_ERROR_NO_NAME_EXPRESSIONS_AFTER_COMPILATION;
    p->source.expressions.push_back(expression);
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcCompileProgram(nvrtcProgram p, int count, const char* const* given) {
    if (!programs.has(p)) return NVRTC_ERROR_INVALID_PROGRAM;
    if (count < 0 || (count > 0 && !given)) return NVRTC_ERROR_INVALID_INPUT;
    p->compiled = Compiled();
    p->tried = true;
    CompileOptions options;
    if (!read_compile_options({given, given + count}, options, p->compiled.log)) return NVRTC_ERROR_INVALID_OPTION;
    return compile(p->source, options, p->compiled);
}

API nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram p, size_t* bytes) {
    if (!programs.has(p)) return NVRTC_ERROR_INVALID_PROGRAM;
    if (!bytes) return NVRTC_ERROR_INVALID_INPUT;
    *bytes = p->compiled.log.size() + 1;
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcGetProgramLog(nvrtcProgram p, char* to) {
    if (!programs.has(p)) return NVRTC_ERROR_INVALID_PROGRAM;
    if (!to) return NVRTC_ERROR_INVALID_INPUT;
    memcpy(to, p->compiled.log.c_str(), p->compiled.log.size() + 1);
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcGetCUBINSize(nvrtcProgram p, size_t* bytes) {
    if (!programs.has(p) || p->compiled.image.empty()) return NVRTC_ERROR_INVALID_PROGRAM;
    if (!bytes) return NVRTC_ERROR_INVALID_INPUT;
    *bytes = p->compiled.image.size();
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcGetCUBIN(nvrtcProgram p, char* to) {
    if (!programs.has(p) || p->compiled.image.empty()) return NVRTC_ERROR_INVALID_PROGRAM;
    if (!to) return NVRTC_ERROR_INVALID_INPUT;
    memcpy(to, p->compiled.image.data(), p->compiled.image.size());
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcGetLoweredName(nvrtcProgram p, const char* expression, const char** name) {
    if (!programs.has(p)) return NVRTC_ERROR_INVALID_PROGRAM;
    if (!expression || !name) return NVRTC_ERROR_INVALID_INPUT;
    if (p->compiled.image.empty()) return NVRTC_ERROR_NO_LOWERED_NAMES_BEFORE_COMPILATION;
    auto it = p->compiled.lowered.find(expression);
    if (it == p->compiled.lowered.end()) return NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID;
    *name = it->second.c_str();
    return NVRTC_SUCCESS;
}
