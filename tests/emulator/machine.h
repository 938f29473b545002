// The emulated machine: threads of CTAs as fibers of one host thread, in an order that a seed decides, on devices
// whose launches run beside each other. What a kernel asks of the hardware comes here through `device.h`.
#pragma once
#include <cstddef>
#include <cstdint>

extern "C" {

struct EmuDim { unsigned x, y, z; };

// What a kernel's text reads as threadIdx, blockIdx, blockDim and gridDim.
struct EmuThread { EmuDim thread, block, threads, blocks; };
extern EmuThread* emu_current;

// Why a thread gives way: it has work, or it looks again at something that others must change.
enum EmuYield { EMU_WORKS, EMU_SPINS };
void emu_yield(EmuYield why);

// Ends the process with a message: the kernel did what no device allows.
[[noreturn]] void emu_die(const char* format, ...) __attribute__((format(printf, 1, 2)));

// All threads of the CTA; whether `all` was true of each.
bool emu_sync_threads(bool all);
// The lanes of a mask, each with a word; `words` is what each lane gave. Orders memory only if it is asked to.
void emu_warp(unsigned mask, uint64_t word, uint64_t words[32], const char* what, bool orders);
unsigned emu_lane();

// Shared memory: what is declared in a function, by the address of a tag, and what the launch adds.
void* emu_shared(const void* tag, size_t bytes, size_t align);
void* emu_dynamic_shared();
unsigned emu_shared_address(const void* pointer);

uint64_t emu_now();

// What a fence or a release of this scope lets others see, and what an acquire sees.
void emu_fence();
void emu_published(void* word, bool system, bool releases);
void emu_acquired(const void* word, bool system);

void emu_mbarrier_init(unsigned word, unsigned arrivals);
void emu_mbarrier_arrive(unsigned word, unsigned bytes);
bool emu_mbarrier_over(unsigned word, unsigned parity);

void emu_proxy_fence();
void emu_bulk_load(unsigned to, const void* from, unsigned bytes, unsigned word);
void emu_bulk_store(void* to, unsigned from, unsigned bytes);
void emu_bulk_commit();
bool emu_bulk_done(unsigned later, bool read);

// What a compiled kernel says of itself.
struct EmuKernel {
    void (*call)(void** arguments);
    unsigned parameters;
    const size_t* bytes;
};
}
