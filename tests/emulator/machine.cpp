#include "machine.hpp"
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <sys/mman.h>
#include <unistd.h>

using std::shared_ptr;
using std::vector;

EmuThread* emu_current;

// From one stack to another: what a call may not change is on the stack that is left.
extern "C" void emu_switch(void** from, void* to);
#if defined(__x86_64__)
asm(R"(
    .text
    .globl emu_switch
    .hidden emu_switch
    .type emu_switch, @function
emu_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size emu_switch, . - emu_switch
)");
#else
#error "the emulated machine runs on x86-64"
#endif

void emu_die(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "emulated device: ");
    vfprintf(stderr, format, arguments);
    if (emu_current) {
        const EmuThread& t = *emu_current;
        fprintf(stderr, " (thread %u of CTA %u, %u)", t.thread.x, t.block.x, t.block.y);
    }
    fprintf(stderr, "\n%s", emu::waiting().c_str());
    _exit(70);
}

namespace emu {

std::function<bool()> queues = [] { return false; };

namespace {

constexpr size_t STACK = 256 * 1024, STATIC = 48 * 1024;
constexpr unsigned THREADS_PER_SM = 1536, CTAS_PER_SM = 32;

// The watcher, if there is one.
void* watched() { return __tsan_get_current_fiber ? __tsan_get_current_fiber() : nullptr; }
void* watch() { return __tsan_create_fiber ? __tsan_create_fiber(0) : nullptr; }
// Without a word between the two.
void turn_to(void* fiber) { if (fiber) __tsan_switch_to_fiber(fiber, 1); }
void tells(const void* at) { if (__tsan_release) __tsan_release(const_cast<void*>(at)); }
void learns(const void* at) { if (__tsan_acquire) __tsan_acquire(const_cast<void*>(at)); }

void reads_range(const char* at, size_t n) { if (__tsan_read_range) __tsan_read_range(const_cast<char*>(at), n); }
void writes_range(char* at, size_t n) { if (__tsan_write_range) __tsan_write_range(at, n); }

uint64_t number(const char* name, uint64_t otherwise) {
    const char* text = getenv(name);
    return text ? strtoull(text, nullptr, 10) : otherwise;
}

uint64_t state = number("FUSCO_EMULATED_SEED", 1) * 0x9e3779b97f4a7c15ull | 1;
uint64_t clock_ns = 1000;

// What a group of bulk stores still has to do, and where those who wait learn of it.
struct Group { unsigned reads = 0, writes = 0; char read = 0, written = 0; };

// The copy engine as one thread sees it: it reads what was fenced, and writes after what the thread knew.
struct Engine { void* reads; void* writes; };

struct Cta;

struct Collective { unsigned mask, arrived; const char* what; bool orders; uint64_t words[32]; };
struct Warp { vector<shared_ptr<Collective>> open; };

struct Fiber : EmuThread {
    void* top = nullptr;
    void* stack = nullptr;
    void* tsan = nullptr;
    Cta* cta = nullptr;
    Warp* warp = nullptr;
    const char* waits = nullptr;
    bool fenced = false, ended = false;
    char issue = 0;
    Engine engine{};
    shared_ptr<Group> group;
    vector<shared_ptr<Group>> groups;
};

// `writers` are those whose rows have landed since somebody last saw a phase end.
struct Mbarrier { unsigned arrivals, pending; long long bytes; unsigned phase; vector<void*> writers; };

struct Cta {
    shared_ptr<Launch> launch;
    EmuDim index;
    char* arena;
    size_t dynamic, statics = 0;
    std::map<const void*, size_t> variables;
    std::map<unsigned, Mbarrier> mbarriers;
    vector<Fiber*> fibers, ready;
    vector<Warp> warps;
    unsigned arrived = 0, alive = 0;
    bool all = true, answer = true;
    uint64_t asleep = 0;
    // What the copy engine may read, if its issuer knows of it: what was fenced, and what it wrote itself and
    // somebody has waited for.
    char proxy = 0;
    unsigned loads = 0, reads = 0;
};

// Bytes on their way. A store has read its row before it writes.
struct Bulk {
    Cta* cta;
    shared_ptr<Launch> launch;
    Engine engine;
    char* to;
    const char* from;
    unsigned bytes, at = 0;
    bool store, read = false;
    unsigned word;
    shared_ptr<Group> group;
    vector<char> row;
};

struct Usage { unsigned threads = 0, ctas = 0; size_t shared = 0; };

vector<shared_ptr<Launch>> launches;
vector<Cta*> ctas;
vector<Bulk*> bulks;
vector<Fiber*> pool;
std::map<int, Usage> usage;
void* scheduler;
void* scheduler_tsan;
uint64_t steps = 0, spins = 0;

Fiber* self() { return static_cast<Fiber*>(emu_current); }

// Back to the scheduler; it comes again when the thread is ready and its turn has come.
void leave(Fiber* fiber) {
    turn_to(scheduler_tsan);
    emu_switch(&fiber->top, scheduler);
}

void wait(const char* what) {
    Fiber* fiber = self();
    fiber->waits = what;
    leave(fiber);
    fiber->waits = nullptr;
}

void arrive_if_all(Cta* cta) {
    if (cta->arrived == 0 || cta->arrived < cta->alive) return;
    cta->arrived = 0;
    cta->answer = cta->all;
    cta->all = true;
    static const char name[] = "__syncthreads";
    for (Fiber* fiber : cta->fibers)
        if (fiber->waits && strcmp(fiber->waits, name) == 0) { fiber->waits = "its turn"; cta->ready.push_back(fiber); }
}

void body() {
    Fiber* fiber = self();
    learns(fiber->cta->launch.get());
    fiber->cta->launch->kernel.call(fiber->cta->launch->pointers.data());
    tells(fiber->cta->launch.get());
    fiber->ended = true;
    leave(fiber);
}

Fiber* make(Cta* cta, unsigned thread) {
    Fiber* fiber;
    if (pool.empty()) {
        fiber = new Fiber;
        fiber->stack = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (fiber->stack == MAP_FAILED) emu_die("no memory for a thread's stack");
        fiber->tsan = watch();
    } else {
        fiber = pool.back();
        pool.pop_back();
    }
    fiber->thread = {thread, 0, 0};
    fiber->block = cta->index;
    fiber->threads = cta->launch->block;
    fiber->blocks = cta->launch->grid;
    fiber->cta = cta;
    fiber->warp = &cta->warps[thread / 32];
    fiber->fenced = fiber->ended = false;
    fiber->group.reset();
    fiber->groups.clear();
    // As if it had been left just before `body`, whose frame a call would have left 8 bytes off.
    void** top = reinterpret_cast<void**>(static_cast<char*>(fiber->stack) + STACK) - 2;
    *top = reinterpret_cast<void*>(&body);
    fiber->top = top - 6;
    return fiber;
}

void begin(const shared_ptr<Launch>& launch) {
    const unsigned i = launch->begun++;
    Cta* cta = new Cta;
    cta->launch = launch;
    cta->index = {i % launch->grid.x, i / launch->grid.x % launch->grid.y, i / launch->grid.x / launch->grid.y};
    cta->dynamic = (launch->dynamic + 127) / 128 * 128;
    cta->arena = static_cast<char*>(aligned_alloc(1024, (cta->dynamic + STATIC + 1023) / 1024 * 1024));
    // What nobody has written is no zero.
    memset(cta->arena, 0xa5, cta->dynamic + STATIC);
    const unsigned threads = launch->block.x;
    cta->warps.resize((threads + 31) / 32);
    cta->alive = threads;
    for (unsigned t = 0; t < threads; ++t) cta->fibers.push_back(make(cta, t));
    cta->ready = cta->fibers;
    ctas.push_back(cta);
    Usage& used = usage[launch->device];
    used.threads += threads, used.ctas += 1, used.shared += launch->dynamic;
    tells(launch.get());
}

bool fits(const Launch& launch, unsigned n) {
    const Usage& used = usage[launch.device];
    const unsigned sms = multiprocessors();
    return used.threads + n * launch.block.x <= sms * THREADS_PER_SM && used.ctas + n <= sms * CTAS_PER_SM &&
           used.shared + n * launch.dynamic <= sms * (SHARED + 1024);
}

bool admit() {
    bool any = false;
    for (const auto& launch : launches) {
        if (launch->begun == launch->ctas()) continue;
        if (launch->cooperative) {
            if (!fits(*launch, launch->ctas())) continue;
            while (launch->begun < launch->ctas()) begin(launch);
            any = true;
        } else {
            while (launch->begun < launch->ctas() && fits(*launch, 1)) begin(launch), any = true;
        }
    }
    return any;
}

void forget(const Launch& launch) {
    for (size_t i = 0; launch.done() && i < launches.size(); ++i)
        if (launches[i].get() == &launch) { launches.erase(launches.begin() + long(i)); break; }
}

void end(Cta* cta) {
    if (cta->loads || cta->reads)
        emu_die("a CTA of %s ended while the copy engine used its shared memory", cta->launch->name.c_str());
    learns(cta->launch.get());
    Launch& launch = *cta->launch;
    Usage& used = usage[launch.device];
    used.threads -= launch.block.x, used.ctas -= 1, used.shared -= launch.dynamic;
    launch.ended += 1;
    for (Fiber* fiber : cta->fibers) pool.push_back(fiber);
    for (size_t i = 0; i < ctas.size(); ++i)
        if (ctas[i] == cta) { ctas[i] = ctas.back(); ctas.pop_back(); break; }
    forget(launch);
    free(cta->arena);
    delete cta;
}

void over_if_complete(Mbarrier& barrier) {
    if (barrier.pending == 0 && barrier.bytes == 0) barrier.phase ^= 1, barrier.pending = barrier.arrivals;
}

Mbarrier& mbarrier(Cta* cta, unsigned word) {
    const auto found = cta->mbarriers.find(word);
    if (found == cta->mbarriers.end()) emu_die("an mbarrier at %u that nobody initialised", word);
    return found->second;
}

// A part of a row on its way.
void carry(size_t i) {
    Bulk* bulk = bulks[i];
    const unsigned rest = bulk->bytes - bulk->at;
    const unsigned n = random(2) ? rest : unsigned(random(rest / 16) + 1) * 16;
    const bool reads = bulk->store && !bulk->read;
    const char* from = (bulk->store && !reads ? bulk->row.data() : bulk->from) + bulk->at;
    char* to = (reads ? bulk->row.data() : bulk->to) + bulk->at;
    turn_to(reads ? bulk->engine.reads : bulk->engine.writes);
    if (from != bulk->row.data() + bulk->at) reads_range(from, n);
    if (to != bulk->row.data() + bulk->at) writes_range(to, n);
    memcpy(to, from, n);
    bulk->at += n;
    const bool done = bulk->at == bulk->bytes;
    if (done && reads) tells(&bulk->group->read);
    if (done && bulk->store && !reads) tells(bulk->launch.get());
    if (done && !reads) tells(bulk->store ? &bulk->group->written : bulk->cta->arena + bulk->word);
    turn_to(scheduler_tsan);
    if (!done) return;
    if (reads) {
        bulk->read = true, bulk->at = 0;
        bulk->group->reads -= 1, bulk->cta->reads -= 1;
        return;
    }
    if (bulk->store) {
        bulk->group->writes -= 1;
        bulk->launch->writes -= 1;
        learns(bulk->launch.get());
        forget(*bulk->launch);
    } else {
        Mbarrier& barrier = mbarrier(bulk->cta, bulk->word);
        barrier.bytes -= bulk->bytes;
        barrier.writers.push_back(bulk->engine.writes);
        over_if_complete(barrier);
        bulk->cta->loads -= 1;
    }
    bulks[i] = bulks.back();
    bulks.pop_back();
    delete bulk;
}

void resume(Cta* cta, size_t i) {
    Fiber* fiber = cta->ready[i];
    cta->ready[i] = cta->ready.back();
    cta->ready.pop_back();
    clock_ns += 20;
    ++steps;
    emu_current = fiber;
    turn_to(fiber->tsan);
    emu_switch(&scheduler, fiber->top);
    emu_current = nullptr;
    if (!fiber->ended) return;
    spins = 0;
    cta->alive -= 1;
    arrive_if_all(cta);
}

// So many turns of one CTA's threads, in an order of its own.
void burst(Cta* cta) {
    const uint64_t style = random(4);
    for (uint64_t n = 1 + random(64); n > 0 && !cta->ready.empty(); --n) {
        const size_t all = cta->ready.size();
        resume(cta, style == 0 ? all - 1 : style == 1 ? 0 : random(all));
    }
    if (cta->alive == 0) end(cta);
}

}  // namespace

uint64_t random(uint64_t below) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return below < 2 ? 0 : (state >> 11) % below;
}

uint64_t now() { return clock_ns; }

unsigned multiprocessors() {
    static const unsigned sms = unsigned(number("FUSCO_EMULATED_SMS", 2));
    return sms;
}

unsigned resident(unsigned threads, size_t dynamic) {
    const unsigned by_threads = THREADS_PER_SM / ((threads + 31) / 32 * 32);
    const size_t by_shared = (SHARED + 1024) / (dynamic + 1024);
    return unsigned(std::min<size_t>(std::min(by_threads, CTAS_PER_SM), by_shared));
}

void start(shared_ptr<Launch> launch) { launches.push_back(std::move(launch)); }

namespace {

bool turn() {
    bool any = false;
    if (ctas.empty() || random(8) == 0) any |= queues();
    any |= admit();
    if (!bulks.empty() && random(4) == 0) {
        carry(random(bulks.size()));
        spins = 0;
        return true;
    }
    vector<Cta*> awake;
    bool sleeps = false;
    size_t ready = 0;
    for (Cta* cta : ctas) {
        if (cta->ready.empty()) continue;
        ready += cta->ready.size();
        if (cta->asleep > steps) sleeps = true; else awake.push_back(cta);
    }
    if (!awake.empty()) {
        Cta* cta = awake[random(awake.size())];
        // Now and then one is late, or all of a rank.
        if (random(64) == 0) {
            const uint64_t until = steps + random(20000);
            const bool rank = random(2);
            for (Cta* other : ctas)
                if (other == cta || (rank && other->index.y == cta->index.y && other->launch == cta->launch)) other->asleep = until;
            return true;
        }
        burst(cta);
        // All that run look at what none of them changes: time is all that passes.
        if (spins > 32 * ready + 4096 && bulks.empty() && !sleeps && !queues()) clock_ns += 1000000000, spins = 0;
        return true;
    }
    if (sleeps) {
        steps += 1000;
        return true;
    }
    if (!bulks.empty()) {
        carry(random(bulks.size()));
        return true;
    }
    return any || queues();
}

}  // namespace

bool step() {
    static char hosts;
    scheduler_tsan = watched();
    learns(&hosts);
    const bool any = turn();
    tells(&hosts);
    return any;
}

std::string waiting() {
    std::string out;
    for (const Cta* cta : ctas) {
        std::map<std::string, unsigned> at;
        for (const Fiber* fiber : cta->fibers)
            if (!fiber->ended) at[fiber->waits ? fiber->waits : "runs"] += 1;
        out += "  " + cta->launch->name + ", CTA " + std::to_string(cta->index.x) + ", " + std::to_string(cta->index.y) + ":";
        for (const auto& [what, n] : at) out += " " + std::to_string(n) + " " + what + ";";
        out += "\n";
    }
    return out;
}

}  // namespace emu

using namespace emu;

void emu_yield(EmuYield why) {
    if (why == EMU_WORKS && random(2)) return;
    spins = why == EMU_SPINS ? spins + 1 : 0;
    Fiber* fiber = self();
    fiber->cta->ready.push_back(fiber);
    leave(fiber);
}

bool emu_sync_threads(bool all) {
    Fiber* fiber = self();
    Cta* cta = fiber->cta;
    spins = 0;
    tells(cta);
    cta->all = cta->all && all;
    cta->arrived += 1;
    fiber->waits = "__syncthreads";
    arrive_if_all(cta);
    wait(fiber->waits);
    learns(cta);
    fiber->fenced = false;
    return cta->answer;
}

unsigned emu_lane() { return emu_current->thread.x % 32; }

void emu_warp(unsigned mask, uint64_t word, uint64_t words[32], const char* what, bool orders) {
    Fiber* fiber = self();
    const unsigned lane = emu_lane(), bit = 1u << lane;
    if ((mask & bit) == 0) emu_die("%s by lane %u, which is not of the mask %08x", what, lane, mask);
    spins = 0;
    auto& open = fiber->warp->open;
    shared_ptr<Collective> call;
    for (const auto& other : open) {
        if ((other->mask & mask) == 0) continue;
        if (other->mask != mask || strcmp(other->what, what) != 0)
            emu_die("lanes of a warp are at %s of mask %08x and at %s of mask %08x", other->what, other->mask, what, mask);
        call = other;
    }
    if (!call) {
        call = std::make_shared<Collective>(Collective{mask, 0, what, orders, {}});
        open.push_back(call);
    }
    call->words[lane] = word;
    call->arrived |= bit;
    if (orders) tells(call.get());
    if (call->arrived == mask) {
        for (size_t i = 0; i < open.size(); ++i)
            if (open[i] == call) { open.erase(open.begin() + long(i)); break; }
        const unsigned first = emu_current->thread.x - lane;
        for (unsigned l = 0; l < 32; ++l)
            if (l != lane && (mask >> l & 1)) fiber->cta->ready.push_back(fiber->cta->fibers[first + l]);
        if (random(2)) {
            fiber->cta->ready.push_back(fiber);
            wait("its turn");
        }
    } else {
        wait(what);
    }
    if (orders) learns(call.get()), fiber->fenced = false;
    memcpy(words, call->words, sizeof call->words);
}

void* emu_shared(const void* tag, size_t bytes, size_t align) {
    Cta* cta = self()->cta;
    const auto found = cta->variables.find(tag);
    if (found != cta->variables.end()) return cta->arena + found->second;
    cta->statics = (cta->statics + align - 1) / align * align;
    const size_t at = cta->dynamic + cta->statics;
    cta->statics += bytes;
    if (cta->statics > STATIC) emu_die("%zu bytes of shared variables", cta->statics);
    cta->variables[tag] = at;
    return cta->arena + at;
}

void* emu_dynamic_shared() { return self()->cta->arena; }

static char* shared_range(Cta* cta, size_t at, size_t bytes) {
    if (at + bytes > cta->dynamic + cta->statics) emu_die("%zu bytes at %zu of shared memory", bytes, at);
    return cta->arena + at;
}

unsigned emu_shared_address(const void* pointer) {
    Cta* cta = self()->cta;
    const auto at = static_cast<const char*>(pointer) - cta->arena;
    if (at < 0 || size_t(at) > cta->dynamic + cta->statics) emu_die("%p is not in shared memory", pointer);
    return unsigned(at);
}

uint64_t emu_now() { return clock_ns; }

void emu_fence() {
    emu_yield(EMU_WORKS);
    self()->fenced = true;
}

// A scope that does not reach the device whose memory it is orders nothing there.
static bool reaches(const void* word, bool system) { return system || owner(word, 4) == self()->cta->launch->device; }

void emu_published(void* word, bool system, bool releases) {
    if ((releases || self()->fenced) && reaches(word, system)) tells(word);
}

void emu_acquired(const void* word, bool system) {
    if (reaches(word, system)) learns(word);
}

static uint64_t* word_at(Cta* cta, unsigned word) {
    if (word % 8 != 0) emu_die("an mbarrier at %u", word);
    return reinterpret_cast<uint64_t*>(shared_range(cta, word, 8));
}

void emu_mbarrier_init(unsigned word, unsigned arrivals) {
    Cta* cta = self()->cta;
    // As a plain write: whoever arrives or waits has to know of it.
    *word_at(cta, word) = arrivals;
    cta->mbarriers[word] = {arrivals, arrivals, 0, 0, {}};
}

void emu_mbarrier_arrive(unsigned word, unsigned bytes) {
    emu_yield(EMU_WORKS);
    Cta* cta = self()->cta;
    (void)__atomic_load_n(word_at(cta, word), __ATOMIC_RELAXED);
    Mbarrier& barrier = mbarrier(cta, word);
    if (barrier.pending == 0) emu_die("more arrivals at an mbarrier than it expects");
    tells(cta->arena + word);
    barrier.bytes += bytes;
    barrier.pending -= 1;
    over_if_complete(barrier);
}

bool emu_mbarrier_over(unsigned word, unsigned parity) {
    Cta* cta = self()->cta;
    (void)__atomic_load_n(word_at(cta, word), __ATOMIC_RELAXED);
    Mbarrier& barrier = mbarrier(cta, word);
    if (barrier.phase == parity) return false;
    learns(cta->arena + word);
    for (void* writer : barrier.writers) {
        turn_to(writer);
        tells(&cta->proxy);
    }
    turn_to(self()->tsan);
    barrier.writers.clear();
    return true;
}

void emu_proxy_fence() { tells(&self()->cta->proxy); }

static Engine engine(Fiber* fiber) {
    if (!fiber->engine.writes) fiber->engine = {watch(), watch()};
    Engine& engine = fiber->engine;
    tells(&fiber->issue);
    turn_to(engine.reads);
    learns(&fiber->cta->proxy);
    turn_to(engine.writes);
    learns(&fiber->issue);
    turn_to(fiber->tsan);
    return engine;
}

static void check_bulk(const void* global, unsigned shared, unsigned bytes) {
    if (uintptr_t(global) % 16 || shared % 16 || bytes % 16 || bytes == 0)
        emu_die("a bulk copy of %u bytes between %p and %u", bytes, global, shared);
    if (owner(global, bytes) < 0) emu_die("a bulk copy of %u bytes at %p, which no allocation has", bytes, global);
}

void emu_bulk_load(unsigned to, const void* from, unsigned bytes, unsigned word) {
    Fiber* fiber = self();
    check_bulk(from, to, bytes);
    mbarrier(fiber->cta, word);
    fiber->cta->loads += 1;
    bulks.push_back(new Bulk{fiber->cta, fiber->cta->launch, engine(fiber), shared_range(fiber->cta, to, bytes), static_cast<const char*>(from), bytes, 0, false, false, word, nullptr, {}});
    emu_yield(EMU_WORKS);
}

void emu_bulk_store(void* to, unsigned from, unsigned bytes) {
    Fiber* fiber = self();
    check_bulk(to, from, bytes);
    // Who issues it knows of what is read.
    reads_range(shared_range(fiber->cta, from, bytes), bytes);
    if (!fiber->group) fiber->group = std::make_shared<Group>();
    fiber->group->reads += 1, fiber->group->writes += 1;
    fiber->cta->reads += 1;
    fiber->cta->launch->writes += 1;
    bulks.push_back(new Bulk{fiber->cta, fiber->cta->launch, engine(fiber), static_cast<char*>(to), shared_range(fiber->cta, from, bytes), bytes, 0, true, false, 0, fiber->group, vector<char>(bytes)});
    emu_yield(EMU_WORKS);
}

void emu_bulk_commit() {
    Fiber* fiber = self();
    fiber->groups.push_back(fiber->group ? fiber->group : std::make_shared<Group>());
    fiber->group.reset();
}

bool emu_bulk_done(unsigned later, bool read) {
    auto& groups = self()->groups;
    if (groups.size() <= later) return true;
    const size_t n = groups.size() - later;
    for (size_t i = 0; i < n; ++i)
        if ((read ? groups[i]->reads : groups[i]->writes) != 0) return false;
    for (size_t i = 0; i < n; ++i) {
        learns(&groups[i]->read);
        if (!read) learns(&groups[i]->written);
    }
    if (!read) groups.erase(groups.begin(), groups.begin() + long(n));
    return true;
}
