// What the driver's half asks of the machine's half.
#pragma once
#include "machine.h"
#include <functional>
#include <memory>
#include <string>
#include <vector>

// Where ThreadSanitizer is loaded, each thread of a kernel is a thread of its own to it, and knows what it was told.
// The machine itself is not watched: it says what its copy engine reads and writes.
extern "C" {
[[gnu::weak]] void* __tsan_get_current_fiber();
[[gnu::weak]] void* __tsan_create_fiber(unsigned flags);
[[gnu::weak]] void __tsan_switch_to_fiber(void* fiber, unsigned flags);
[[gnu::weak]] void __tsan_acquire(void* address);
[[gnu::weak]] void __tsan_release(void* address);
[[gnu::weak]] void __tsan_read_range(void* address, unsigned long bytes);
[[gnu::weak]] void __tsan_write_range(void* address, unsigned long bytes);
}

namespace emu {

// One grid on its way: its CTAs begin as the device has room.
struct Launch {
    std::string name;
    EmuKernel kernel;
    std::vector<std::vector<char>> arguments;
    std::vector<void*> pointers;
    EmuDim grid, block;
    size_t dynamic;
    int device;
    bool cooperative;
    unsigned begun = 0, ended = 0;
    // Rows that the copy engine still has to write.
    unsigned writes = 0;
    unsigned ctas() const { return grid.x * grid.y * grid.z; }
    bool done() const { return ended == ctas() && writes == 0; }
};

constexpr size_t SHARED = 227 * 1024;
// CTAs of a multiprocessor.
unsigned resident(unsigned threads, size_t dynamic);
unsigned multiprocessors();
uint64_t random(uint64_t below);
uint64_t now();

void start(std::shared_ptr<Launch> launch);
// The device that has this address, and whether all the bytes are of one allocation there; -1 if none has it.
int owner(const void* address, size_t bytes);
// Something happens; false if nothing can.
bool step();
// What the driver's half does whenever the machine comes by; true if anything was done.
extern std::function<bool()> queues;
std::string waiting();

}  // namespace emu
