#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ev_world world;

void world_empty(void) { memset(&world, 0, sizeof world); }

void world_fail(const char *file, int line, const char *what) {
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, what);
    exit(1);
}

/* ---- The memory: one malloc per allocation, so that the sanitizers detect overruns and uses after free ---- */

typedef struct piece {
    struct piece *next;
    _Alignas(16) char bytes[];
} piece;

static piece *of_call;

void *ev_alloc(size_t size) {
    piece *made = malloc(sizeof *made + size);
    made->next = of_call;
    of_call = made;
    /* Filled with garbage, so that no code relies on cleared memory. */
    memset(made->bytes, 0xa5, size);
    return made->bytes;
}

void *ev_resize(void *old, size_t old_size, size_t new_size) {
    void *moved = ev_alloc(new_size);
    if (old_size > 0) memcpy(moved, old, old_size < new_size ? old_size : new_size);
    return moved;
}

void ev_memory_keep(void) { of_call = NULL; }

void ev_memory_forget(void) {
    while (of_call != NULL) {
        piece *next = of_call->next;
        free(of_call);
        of_call = next;
    }
}

/* ---- The daemon's side of the imports ------------------------------------------------------------- */

static void add(char *to, size_t room, const char *text) {
    CHECK(strlen(to) + strlen(text) < room);
    strcat(to, text);
}

void host_append(const uint32_t *indices, uint32_t len) {
    world.stored_calls++;
    for (uint32_t i = 0; i < len; i++) world.stored[world.stored_count++] = indices[i];
}

void host_send(const ev_emission *emission) {
    char line[256];
    snprintf(line, sizeof line, "%.*s <-", EV_ARG(emission->topic));
    for (uint32_t i = 0; i < emission->sources.len; i++)
        snprintf(line + strlen(line), sizeof line - strlen(line), " %u", emission->sources.at[i]);
    add(world.emitted, sizeof world.emitted, line);
    snprintf(line, sizeof line, " %.*s\n", (int)emission->records.bytes.len, emission->records.bytes.at);
    add(world.emitted, sizeof world.emitted, line);
}

/* The settings of the handler. "none" is empty. */
static ev_setting settings[] = {
    {{"alert", 5}, {"red", 3}}, {{"count", 5}, {"7", 1}},      {{"least", 5}, {"4.5", 3}},
    {{"none", 4}, {NULL, 0}},   {{"strict", 6}, {"false", 5}},
};
static const size_t setting_count = sizeof settings / sizeof *settings;

void host_get(const char *key, size_t len, void *answer) {
    struct {
        uint8_t is_set;
        ev_bytes value;
    } *to = answer;
    to->is_set = 0;
    if (ev_is((ev_bytes){key, len}, "eventos.handler")) to->is_set = 1, to->value = ev_text("probe");
    for (size_t i = 0; i < setting_count; i++)
        if (ev_equal(settings[i].key, (ev_bytes){key, len})) to->is_set = 1, to->value = settings[i].value;
}

void host_all(void *answer) {
    struct {
        const ev_setting *at;
        size_t len;
    } *to = answer;
    to->at = settings, to->len = setting_count;
}

void host_write(int32_t level, int32_t has_index, uint32_t index, const char *message, size_t len) {
    char line[256], place[16] = "-";
    if (has_index) snprintf(place, sizeof place, "%u", index);
    snprintf(line, sizeof line, "%d %s %.*s\n", level, place, (int)len, message);
    add(world.log, sizeof world.log, line);
    /* A handler that panics ends the process, so the test reads the error line from stdout. */
    if (level == EV_ERROR) fputs(line, stdout), fflush(stdout);
}
