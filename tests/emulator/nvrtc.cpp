// NVRTC for the emulated machine: a kernel's text, as it is, with each instruction that it names turned into a call of
// `device.h`, by the host's compiler. What it gives as a cubin is a shared library.
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

using std::string;
using std::vector;

namespace {

struct Program { string text, name, log, library; };

string read(const string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream out;
    out << file.rdbuf();
    return out.str();
}

string folder() {
    Dl_info info;
    if (!dladdr(reinterpret_cast<void*>(&read), &info)) return ".";
    const string path = info.dli_fname;
    return path.substr(0, path.rfind('/'));
}

// The parts of a text between these characters, outside of strings and parentheses.
vector<string> split(const string& text, char by) {
    vector<string> out(1);
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '"' && (i == 0 || text[i - 1] != '\\')) quoted = !quoted;
        if (!quoted) depth += (c == '(' || c == '[' || c == '<') - (c == ')' || c == ']' || c == '>');
        if (c == by && !quoted && depth == 0) out.emplace_back(); else out.back() += c;
    }
    return out;
}

// The characters that string literals spell, one after the other; words between them by the macros of the text.
string spelled(const string& literals, const string& scope) {
    string out;
    for (size_t i = 0; i < literals.size(); ++i) {
        if (literals.compare(i, 5, "SCOPE") == 0) { out += scope; i += 4; continue; }
        if (literals[i] != '"') continue;
        for (++i; literals[i] != '"'; ++i) {
            if (literals[i] == '\\') { ++i; out += literals[i] == 'n' ? '\n' : literals[i]; } else { out += literals[i]; }
        }
    }
    return out;
}

// The opcodes of a template, joined: labels, declarations and braces are none.
string opcodes(const string& text) {
    string out;
    std::istringstream lines(text);
    for (string line; std::getline(lines, line, '\n');) {
        std::istringstream statements(line);
        for (string s; std::getline(statements, s, ';');) {
            std::istringstream words(s);
            string word;
            while (words >> word && (word[0] == '@' || word[0] == '{')) {}
            if (word.empty() || word[0] == '.' || word[0] == '}' || word[0] == '{' || word.back() == ':') continue;
            for (char c : (out.empty() ? "" : "_") + word) out += isalnum(static_cast<unsigned char>(c)) ? c : '_';
        }
    }
    return out;
}

size_t closing(const string& text, size_t open) {
    int depth = 0;
    bool quoted = false;
    for (size_t i = open; i < text.size(); ++i) {
        if (text[i] == '"' && text[i - 1] != '\\') quoted = !quoted;
        if (quoted) continue;
        if (text[i] == '(') ++depth;
        if (text[i] == ')' && --depth == 0) return i;
    }
    return string::npos;
}

// What a test leaves out, to see that it is missed: an opcode as `opcodes` gives it, or a function of CUDA.
string left_out() {
    const char* name = getenv("FUSCO_EMULATED_WITHOUT");
    return name ? name : "";
}

string instructions(const string& text) {
    std::smatch found;
    const string scope = std::regex_search(text, found, std::regex("#define SCOPE \"(\\w+)\"")) ? found[1].str() : "sys";
    string out;
    size_t at = 0;
    const std::regex word("\\basm\\b\\s*(volatile)?\\s*\\(");
    for (auto i = std::sregex_iterator(text.begin(), text.end(), word); i != std::sregex_iterator(); ++i) {
        const size_t first = size_t(i->position()), open = first + size_t(i->length()) - 1, last = closing(text, open);
        if (first < at || last == string::npos) continue;
        out += text.substr(at, first - at);
        const vector<string> sections = split(text.substr(open + 1, last - open - 1), ':');
        string operands;
        for (size_t s = 1; s < sections.size() && s < 3; ++s)
            for (const string& operand : split(sections[s], ',')) {
                const size_t from = operand.find('(');
                if (from == string::npos) continue;
                operands += (operands.empty() ? "" : ", ") + operand.substr(from, operand.rfind(')') - from + 1);
            }
        const string name = opcodes(spelled(sections[0], scope));
        const bool weak = !left_out().empty() && name.rfind(left_out(), 0) == 0;
        out += (weak ? "emu_without_" : "ptx_") + name + "(" + operands + ")";
        at = last + 1;
    }
    return out + text.substr(at);
}

string shared_variables(const string& text) {
    const std::regex dynamic("extern\\s+__shared__\\s+(__align__\\(\\d+\\)\\s+)?([\\w<>]+)\\s+(\\w+)\\[\\];");
    const string a = std::regex_replace(text, dynamic, "$2* const $3 = static_cast<$2*>(emu_dynamic_shared());");
    const std::regex fixed("__shared__\\s+((?:__align__|alignas)\\((\\d+)\\)\\s+)?([\\w<>:]+\\*?)\\s+([^;(]+);");
    string out;
    size_t at = 0;
    for (auto i = std::sregex_iterator(a.begin(), a.end(), fixed); i != std::sregex_iterator(); ++i) {
        out += a.substr(at, size_t(i->position()) - at);
        at = size_t(i->position() + i->length());
        const string align = (*i)[2].matched ? (*i)[2].str() : "1";
        for (string name : split((*i)[4].str(), ',')) {
            name.erase(0, name.find_first_not_of(' '));
            const size_t dims = name.find('[');
            const string base = name.substr(0, dims), tail = dims == string::npos ? "" : name.substr(dims);
            out += "static char emu_tag_" + base + "; typedef " + (*i)[3].str() + " emu_type_" + base + tail + "; emu_type_" + base + "& " + base +
                   " = emu_shared_variable<emu_type_" + base + ">(&emu_tag_" + base + ", " + align + "); ";
        }
    }
    return out + a.substr(at);
}

string kernels(const string& text) {
    string out;
    const std::regex kernel("__global__\\s+(?:__launch_bounds__\\([^)]*\\)\\s+)?void\\s+(?:__launch_bounds__\\([^)]*\\)\\s+)?(\\w+)\\s*\\(");
    for (auto i = std::sregex_iterator(text.begin(), text.end(), kernel); i != std::sregex_iterator(); ++i) {
        const string name = (*i)[1];
        out += "extern \"C\" { static void emu_call_" + name + "(void** a) { emu_call(" + name + ", a); }\n" +
               "extern const EmuKernel emu_kernel_" + name + " = {emu_call_" + name + ", decltype(emu_signature(" + name + "))::count, decltype(emu_signature(" + name + "))::bytes}; }\n";
    }
    return out;
}

int compile(Program& program) {
    char path[] = "/tmp/fusco-text-XXXXXX";
    if (!mkdtemp(path)) return 1;
    const string base = path, source = base + "/kernel.cpp", library = base + "/kernel.so", log = base + "/log";
    const string out = left_out();
    std::ofstream(source) << "#include \"device.h\"\n" << (out.rfind("__", 0) == 0 ? "#define " + out + "(...) emu_yield(EMU_WORKS)\n" : "")
                          << "#line 1 \"" << program.name << "\"\n"
                          << shared_variables(instructions(program.text)) << "\n#undef " << (out.empty() ? "EMU_NOTHING" : out) << "\n" << kernels(program.text);
    const bool watched = getenv("FUSCO_EMULATED_WATCH") != nullptr;
    const string command = "g++ -std=c++20 -O1 -g1 -w -fPIC -shared -fno-gnu-unique -ffp-contract=off -fno-strict-aliasing -Wl,-Bsymbolic " +
                           string(watched ? "-fsanitize=thread " : "") + "-I " + folder() + " " + source + " -o " + library + " > " + log + " 2>&1";
    // The compiler itself is not watched.
    unsetenv("LD_PRELOAD");
    const int status = system(command.c_str());
    program.log = read(log);
    if (status == 0) program.library = read(library);
    if (!getenv("FUSCO_EMULATED_KEEP")) {
        const string remove = "rm -r " + base;
        if (system(remove.c_str()) != 0) return 1;
    }
    return status == 0 ? 0 : 6;
}

}  // namespace

#define CALL extern "C" __attribute__((visibility("default"))) int
CALL nvrtcVersion(int* major, int* minor) { *major = 0, *minor = getenv("FUSCO_EMULATED_WATCH") ? 2 : 1; return 0; }
CALL nvrtcCreateProgram(Program** program, const char* text, const char* name, int, const char* const*, const char* const*) {
    *program = new Program{text, name ? name : "kernel.cu", "", ""};
    return 0;
}
CALL nvrtcDestroyProgram(Program** program) { delete *program; *program = nullptr; return 0; }
CALL nvrtcCompileProgram(Program* program, int, const char* const*) { return compile(*program); }
CALL nvrtcGetProgramLogSize(Program* program, size_t* bytes) { *bytes = program->log.size() + 1; return 0; }
CALL nvrtcGetProgramLog(Program* program, char* log) { strcpy(log, program->log.c_str()); return 0; }
CALL nvrtcGetCUBINSize(Program* program, size_t* bytes) { *bytes = program->library.size(); return 0; }
CALL nvrtcGetCUBIN(Program* program, char* cubin) { memcpy(cubin, program->library.data(), program->library.size()); return 0; }
CALL nvrtcGetPTXSize(Program*, size_t*) { return 7; }
CALL nvrtcGetPTX(Program*, char*) { return 7; }
