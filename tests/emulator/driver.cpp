// The CUDA driver of the emulated machine: as much of it as fusco's runtime calls. A call that waits lets the machine
// run; one that asks lets it run a little.
#include "machine.hpp"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <dlfcn.h>
#include <map>
#include <mutex>
#include <unistd.h>

using std::shared_ptr;
using std::vector;

namespace {

enum Status { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_IMAGE = 200, INVALID_SOURCE = 300, NOT_FOUND = 500, NOT_READY = 600, TOO_LARGE = 720 };

std::recursive_mutex machine;

struct Event { uint64_t asked = 0, passed = 0, at = 0; };

// Something in a stream: begun once it is at the head, there until it is done.
struct Op {
    std::function<void()> begin;
    std::function<bool()> done;
};

struct Stream {
    int device;
    bool apart;
    std::deque<Op> ops;
    bool begun = false;
    bool records = false;
    vector<std::function<void(Stream&)>> recorded;
};

struct Graph { vector<std::function<void(Stream&)>> ops; };
struct Module { void* library; };
struct Function { std::string name; EmuKernel kernel; };

struct Allocation { size_t bytes; int device; };

std::map<uintptr_t, Allocation>& allocations() { static auto* all = new std::map<uintptr_t, Allocation>; return *all; }
vector<Stream*>& streams() { static auto* all = new vector<Stream*>; return *all; }
thread_local int current = 0;

int devices() {
    const char* text = getenv("FUSCO_EMULATED_DEVICES");
    return text ? atoi(text) : 2;
}

// Heads that are done leave, and the next ones begin.
bool advance() {
    bool any = false;
    for (Stream* stream : streams()) {
        while (!stream->ops.empty()) {
            Op& op = stream->ops.front();
            if (!stream->begun) {
                stream->begun = any = true;
                if (op.begin) op.begin();
            }
            if (op.done && !op.done()) break;
            stream->ops.pop_front();
            stream->begun = false;
            any = true;
        }
    }
    return any;
}

template <class F> void run_until(F over) {
    emu::queues = advance;
    while (!over())
        if (!emu::step()) emu_die("nothing can go on: the kernels wait for each other");
}

bool idle(const Stream& stream) { return stream.ops.empty(); }

void drain(int device, bool all) {
    run_until([&] {
        for (const Stream* s : streams())
            if (s->device == device && (all || !s->apart) && !idle(*s)) return false;
        return true;
    });
}

// Now, or when the graph that is being recorded is launched.
void push(Stream& stream, std::function<void(Stream&)> queue) {
    if (stream.records) stream.recorded.push_back(std::move(queue)); else queue(stream);
}

void queue_now(Stream& stream, std::function<void()> f) {
    push(stream, [f](Stream& s) { s.ops.push_back({f, nullptr}); });
}

Status launch(Function* function, EmuDim grid, EmuDim block, unsigned shared, Stream* stream, void** arguments, bool cooperative) {
    const unsigned ctas = grid.x * grid.y * grid.z;
    if (ctas == 0 || block.x == 0 || block.x > 1024 || block.y != 1 || block.z != 1 || shared > emu::SHARED) return INVALID_VALUE;
    if (cooperative && ctas > emu::resident(block.x, shared) * emu::multiprocessors()) return TOO_LARGE;
    vector<vector<char>> copies;
    for (unsigned i = 0; i < function->kernel.parameters; ++i) {
        const char* from = static_cast<char*>(arguments[i]);
        copies.emplace_back(from, from + function->kernel.bytes[i]);
    }
    push(*stream, [=](Stream& s) {
        auto launch = std::make_shared<emu::Launch>();
        launch->name = function->name, launch->kernel = function->kernel, launch->arguments = copies;
        for (auto& a : launch->arguments) launch->pointers.push_back(a.data());
        launch->grid = grid, launch->block = block, launch->dynamic = shared;
        launch->device = s.device, launch->cooperative = cooperative;
        s.ops.push_back({[launch] { emu::start(launch); }, [launch] { return launch->done(); }});
    });
    return SUCCESS;
}

}  // namespace

int emu::owner(const void* address, size_t bytes) {
    const auto at = uintptr_t(address);
    auto after = allocations().upper_bound(at);
    if (after == allocations().begin()) return -1;
    const auto& [first, allocation] = *--after;
    return at + bytes <= first + allocation.bytes ? allocation.device : -1;
}

#define CALL extern "C" __attribute__((visibility("default"))) Status
#define LOCKED const std::lock_guard<std::recursive_mutex> locked(machine)

CALL cuInit(unsigned) {
    // What kernels call is looked for among the names of all.
    static const bool shown = [] {
        Dl_info info;
        return dladdr(reinterpret_cast<void*>(&emu_yield), &info) && dlopen(info.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
    }();
    return shown ? SUCCESS : INVALID_VALUE;
}
CALL cuDeviceGetCount(int* n) { *n = devices(); return SUCCESS; }
CALL cuDeviceGet(int* device, int ordinal) {
    if (ordinal < 0 || ordinal >= devices()) return INVALID_VALUE;
    *device = ordinal;
    return SUCCESS;
}
CALL cuDeviceGetAttribute(int* value, int attribute, int) {
    switch (attribute) {
        case 16: *value = int(emu::multiprocessors()); return SUCCESS;
        case 75: *value = 9; return SUCCESS;
        case 76: *value = 0; return SUCCESS;
        case 97: *value = int(emu::SHARED); return SUCCESS;
        default: return INVALID_VALUE;
    }
}
CALL cuDeviceCanAccessPeer(int* can, int, int) { *can = 1; return SUCCESS; }
CALL cuDevicePrimaryCtxRetain(void** context, int device) { *context = reinterpret_cast<void*>(intptr_t(device) + 1); return SUCCESS; }
CALL cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
CALL cuCtxSetCurrent(void* context) { current = int(reinterpret_cast<intptr_t>(context)) - 1; return SUCCESS; }
CALL cuCtxEnablePeerAccess(void*, unsigned) { return SUCCESS; }
CALL cuCtxSynchronize() { LOCKED; drain(current, true); return SUCCESS; }
CALL cuGetErrorName(int, const char** text) { *text = "CUDA_ERROR"; return SUCCESS; }
CALL cuGetErrorString(int status, const char** text) {
    static const std::map<int, const char*> known = {
        {INVALID_VALUE, "invalid argument"}, {OUT_OF_MEMORY, "out of memory"}, {INVALID_IMAGE, "device kernel image is invalid"},
        {NOT_FOUND, "named symbol not found"}, {NOT_READY, "device not ready"}, {TOO_LARGE, "too many blocks in cooperative launch"}};
    const auto found = known.find(status);
    *text = found == known.end() ? "an error of the emulated driver" : found->second;
    return SUCCESS;
}

CALL cuMemAlloc_v2(uint64_t* at, size_t bytes) {
    LOCKED;
    if (bytes > size_t(8) << 30) return OUT_OF_MEMORY;
    void* memory = nullptr;
    if (posix_memalign(&memory, 512, bytes) != 0) return OUT_OF_MEMORY;
    memset(memory, 0xa5, bytes);
    allocations()[uintptr_t(memory)] = {bytes, current};
    *at = uint64_t(memory);
    return SUCCESS;
}
CALL cuMemFree_v2(uint64_t at) {
    LOCKED;
    for (int device = 0; device < devices(); ++device) drain(device, true);
    if (allocations().erase(uintptr_t(at)) == 0) return INVALID_VALUE;
    free(reinterpret_cast<void*>(at));
    return SUCCESS;
}
CALL cuMemsetD8_v2(uint64_t at, unsigned char value, size_t n) {
    LOCKED;
    if (n != 0 && emu::owner(reinterpret_cast<void*>(at), n) < 0) return INVALID_VALUE;
    drain(current, false);
    memset(reinterpret_cast<void*>(at), value, n);
    return SUCCESS;
}
CALL cuMemcpyHtoD_v2(uint64_t to, const void* from, size_t n) {
    LOCKED;
    if (n != 0 && emu::owner(reinterpret_cast<void*>(to), n) < 0) return INVALID_VALUE;
    drain(current, false);
    memcpy(reinterpret_cast<void*>(to), from, n);
    return SUCCESS;
}
CALL cuMemcpyDtoH_v2(void* to, uint64_t from, size_t n) {
    LOCKED;
    if (n != 0 && emu::owner(reinterpret_cast<void*>(from), n) < 0) return INVALID_VALUE;
    drain(current, false);
    memcpy(to, reinterpret_cast<void*>(from), n);
    return SUCCESS;
}
CALL cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t n, Stream* stream) {
    LOCKED;
    queue_now(*stream, [=] { memcpy(to, reinterpret_cast<void*>(from), n); });
    return SUCCESS;
}
CALL cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t n, Stream* stream) {
    LOCKED;
    queue_now(*stream, [=] { memcpy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), n); });
    return SUCCESS;
}
CALL cuMemsetD2D32Async(uint64_t at, size_t pitch, unsigned value, size_t width, size_t height, Stream* stream) {
    LOCKED;
    queue_now(*stream, [=] {
        for (size_t y = 0; y < height; ++y)
            for (size_t x = 0; x < width; ++x) reinterpret_cast<unsigned*>(at + y * pitch)[x] = value;
    });
    return SUCCESS;
}

CALL cuStreamCreate(Stream** stream, unsigned flags) {
    LOCKED;
    *stream = new Stream{current, flags == 1, {}, false, false, {}};
    streams().push_back(*stream);
    return SUCCESS;
}
CALL cuStreamDestroy_v2(Stream* stream) {
    LOCKED;
    run_until([&] { return idle(*stream); });
    auto& all = streams();
    for (size_t i = 0; i < all.size(); ++i)
        if (all[i] == stream) { all.erase(all.begin() + long(i)); break; }
    delete stream;
    return SUCCESS;
}
CALL cuStreamSynchronize(Stream* stream) { LOCKED; run_until([&] { return idle(*stream); }); return SUCCESS; }
CALL cuStreamQuery(Stream* stream) {
    LOCKED;
    emu::queues = advance;
    for (int i = 0; i < 64 && !idle(*stream); ++i) emu::step();
    return idle(*stream) ? SUCCESS : NOT_READY;
}
CALL cuStreamWaitEvent(Stream* stream, Event* event, unsigned) {
    LOCKED;
    const uint64_t asked = event->asked;
    push(*stream, [=](Stream& s) { s.ops.push_back({nullptr, [=] { return event->passed >= asked; }}); });
    return SUCCESS;
}
CALL cuEventCreate(Event** event, unsigned) { *event = new Event; return SUCCESS; }
// Streams may still name it: it stays.
CALL cuEventDestroy_v2(Event*) { return SUCCESS; }
CALL cuEventRecord(Event* event, Stream* stream) {
    LOCKED;
    const uint64_t number = ++event->asked;
    queue_now(*stream, [=] { event->passed = number, event->at = emu::now(); });
    return SUCCESS;
}
CALL cuEventSynchronize(Event* event) { LOCKED; run_until([&] { return event->passed >= event->asked; }); return SUCCESS; }
CALL cuEventElapsedTime_v2(float* milliseconds, Event* start, Event* end) {
    LOCKED;
    if (start->passed < start->asked || end->passed < end->asked) return NOT_READY;
    *milliseconds = float(double(int64_t(end->at - start->at)) / 1e6);
    return SUCCESS;
}

CALL cuStreamBeginCapture_v2(Stream* stream, int) { LOCKED; stream->records = true, stream->recorded.clear(); return SUCCESS; }
CALL cuStreamEndCapture(Stream* stream, Graph** graph) {
    LOCKED;
    stream->records = false;
    *graph = new Graph{std::move(stream->recorded)};
    return SUCCESS;
}
CALL cuGraphInstantiateWithFlags(Graph** made, Graph* graph, unsigned long long) { *made = new Graph(*graph); return SUCCESS; }
CALL cuGraphLaunch(Graph* graph, Stream* stream) { LOCKED; for (const auto& op : graph->ops) push(*stream, op); return SUCCESS; }
CALL cuGraphDestroy(Graph* graph) { delete graph; return SUCCESS; }
CALL cuGraphExecDestroy(Graph* graph) { delete graph; return SUCCESS; }

CALL cuModuleLoadData(Module** module, const unsigned char* image) {
    LOCKED;
    // An ELF file ends with its table of sections.
    if (memcmp(image, "\x7f" "ELF", 4) != 0) return INVALID_IMAGE;
    uint64_t sections;
    uint16_t each, count;
    memcpy(&sections, image + 40, 8), memcpy(&each, image + 58, 2), memcpy(&count, image + 60, 2);
    char path[] = "/tmp/fusco-kernel-XXXXXX";
    const int file = mkstemp(path);
    if (file < 0) return INVALID_SOURCE;
    const size_t bytes = sections + size_t(each) * count;
    const bool written = write(file, image, bytes) == ssize_t(bytes);
    close(file);
    void* library = written ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
    if (!library) fprintf(stderr, "emulated device: %s\n", dlerror());
    if (!getenv("FUSCO_EMULATED_KEEP")) unlink(path);
    if (!library) return INVALID_IMAGE;
    *module = new Module{library};
    return SUCCESS;
}
CALL cuModuleUnload(Module*) { return SUCCESS; }
CALL cuModuleGetFunction(Function** function, Module* module, const char* name) {
    LOCKED;
    const auto* kernel = static_cast<EmuKernel*>(dlsym(module->library, (std::string("emu_kernel_") + name).c_str()));
    if (!kernel) return NOT_FOUND;
    *function = new Function{name, *kernel};
    return SUCCESS;
}
CALL cuFuncSetAttribute(Function*, int, int) { return SUCCESS; }
CALL cuOccupancyMaxActiveBlocksPerMultiprocessor(int* n, Function*, int threads, size_t dynamic) { *n = int(emu::resident(unsigned(threads), dynamic)); return SUCCESS; }
CALL cuLaunchKernel(Function* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, Stream* stream, void** arguments, void**) {
    LOCKED;
    return launch(f, {gx, gy, gz}, {bx, by, bz}, shared, stream, arguments, false);
}
CALL cuLaunchCooperativeKernel(Function* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, Stream* stream, void** arguments) {
    LOCKED;
    return launch(f, {gx, gy, gz}, {bx, by, bz}, shared, stream, arguments, true);
}
