/* Plays the daemon and the memory: columns to hand in, and a place for what comes back. */
#ifndef WORLD_H
#define WORLD_H

#include "internal.h"

/* What the handler asked the daemon for since `world_empty`. */
typedef struct {
    char log[512]; /* a line each: level, index or -, message */
    uint32_t stored[8];
    size_t stored_count, stored_calls;
    char emitted[512]; /* a line a call: topic, sources, bytes */
} ev_world;

extern ev_world world;

void world_empty(void);

/* What the SDK exports, with the sanitizers' help. */
void *ev_export_init(void);
ev_outcomes *ev_export_handle(const ev_batch *batch);
void ev_after_handle(void *answer);

#define CHECK(holds)                                                              \
    do {                                                                          \
        if (!(holds)) world_fail(__FILE__, __LINE__, #holds);                     \
    } while (0)

_Noreturn void world_fail(const char *file, int line, const char *what);

/* A column of these numbers. */
#define COLUMN(type, ...) {(type[]){__VA_ARGS__}, sizeof((type[]){__VA_ARGS__}) / sizeof(type)}
#define CHARS(text) {(char[]){text}, sizeof(text) - 1}

/* Whether a list of numbers is exactly these. */
#define IS(list, type, ...)                                                       \
    ((list).len == sizeof((type[]){__VA_ARGS__}) / sizeof(type) &&                \
     __builtin_memcmp((list).at, (type[]){__VA_ARGS__}, sizeof((type[]){__VA_ARGS__})) == 0)

#endif
