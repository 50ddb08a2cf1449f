/*
 * The memory of a call: one region that grows during a batch and is released as a whole afterwards.
 * Nothing is freed individually, so an allocation costs one addition.
 */
#include "internal.h"
#ifndef EVENTOS_UNIT_TEST /* testing.c stands in for this file */

#define PAGE 65536u
/* The strictest alignment of any type here. */
#define ALIGN 16u

extern unsigned char __heap_base; /* set by the linker: the start of free memory */

static uintptr_t next;
static uintptr_t floor_; /* the end of the memory that init allocated, which is kept */

static uintptr_t aligned(uintptr_t at, size_t align) { return (at + align - 1) & ~(uintptr_t)(align - 1); }

static void *take(size_t size, size_t align) {
    if (next == 0) next = (uintptr_t)&__heap_base;
    uintptr_t at = aligned(next, align);
    uintptr_t end = at + size;
    if (end < at) __builtin_trap();
    size_t have = __builtin_wasm_memory_size(0) * (size_t)PAGE;
    if (end > have) {
        size_t pages = (end - have + PAGE - 1) / PAGE;
        /* Ask for no more than is needed: the host reports a refused request as the reason of the trap. */
        if (__builtin_wasm_memory_grow(0, pages) == SIZE_MAX) __builtin_trap();
    }
    next = end;
    return (void *)at;
}

void *ev_alloc(size_t size) { return take(size, ALIGN); }

void ev_memory_keep(void) { floor_ = next; }

void ev_memory_forget(void) { next = floor_; }

void *ev_resize(void *old, size_t old_size, size_t new_size) {
    /* The most recent allocation grows in place. */
    if (old != NULL && (uintptr_t)old + old_size == next && new_size >= old_size) {
        take(new_size - old_size, 1);
        return old;
    }
    void *moved = ev_alloc(new_size);
    if (old_size > 0) __builtin_memcpy(moved, old, old_size < new_size ? old_size : new_size);
    return moved;
}

/* Called by the host to place arguments and the results of its imports in this memory. */
__attribute__((export_name("cabi_realloc")))
void *ev_cabi_realloc(void *old, size_t old_size, size_t align, size_t new_size) {
    (void)align; /* never more than ALIGN in this world */
    return ev_resize(old_size == 0 ? NULL : old, old_size, new_size);
}

/* The compiler calls memcpy and memset to copy and clear structs where it does not emit an instruction. */
void *memcpy(void *restrict to, const void *restrict from, size_t len) {
    char *t = to;
    const char *f = from;
    for (size_t i = 0; i < len; i++) t[i] = f[i];
    return to;
}

void *memset(void *to, int byte, size_t len) {
    char *t = to;
    for (size_t i = 0; i < len; i++) t[i] = (char)byte;
    return to;
}
#endif
