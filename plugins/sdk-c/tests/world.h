/* A stand-in for the daemon and the memory: builds columns for the handler and records what it asks for. */
#ifndef WORLD_H
#define WORLD_H

#include "internal.h"

/* The calls that the handler made to the daemon since `world_empty`. */
typedef struct {
    char log[512]; /* one line per call: level, index or -, message */
    uint32_t stored[8];
    size_t stored_count, stored_calls;
    char emitted[512]; /* one line per call: topic, sources, bytes */
} ev_world;

extern ev_world world;

void world_empty(void);

/* The functions that the SDK exports to the host. */
void *ev_export_init(void);
ev_outcomes *ev_export_handle(const ev_batch *batch);
void ev_after_handle(void *answer);

#define CHECK(holds)                                                              \
    do {                                                                          \
        if (!(holds)) world_fail(__FILE__, __LINE__, #holds);                     \
    } while (0)

_Noreturn void world_fail(const char *file, int line, const char *what);

/* Initializes a column with these numbers. */
#define COLUMN(type, ...) {(type[]){__VA_ARGS__}, sizeof((type[]){__VA_ARGS__}) / sizeof(type)}
#define CHARS(text) {(char[]){text}, sizeof(text) - 1}

/* Returns whether a list holds exactly these numbers. */
#define IS(list, type, ...)                                                       \
    ((list).len == sizeof((type[]){__VA_ARGS__}) / sizeof(type) &&                \
     __builtin_memcmp((list).at, (type[]){__VA_ARGS__}, sizeof((type[]){__VA_ARGS__})) == 0)

#endif
