/* Declarations that the files of the SDK share and no handler needs. */
#ifndef EVENTOS_INTERNAL_H
#define EVENTOS_INTERNAL_H

#include <stdarg.h>

#include "eventos.h"

#if !defined(EVENTOS_NATIVE_TEST) && !defined(EVENTOS_UNIT_TEST)
_Static_assert(sizeof(void *) == 4, "a handler is 32-bit WebAssembly: build with --target=wasm32");
#endif

/* A list in the layout of the canonical ABI: a pointer to the first entry and the number of entries. */
#define EV_LIST(type) \
    struct {          \
        type *at;     \
        uint32_t len; \
    }

/* `record texts` of wit/types.wit. */
typedef struct {
    EV_LIST(char) bytes;
    EV_LIST(uint32_t) ends;
} ev_texts;

/* `record records` of wit/types.wit. */
typedef struct {
    EV_LIST(char) bytes;
    EV_LIST(uint32_t) key_ends;
    EV_LIST(uint32_t) value_ends;
    EV_LIST(uint8_t) flags;
    EV_LIST(int64_t) timestamps;
    EV_LIST(uint32_t) header_ends;
    EV_LIST(uint32_t) header_name_ends;
    EV_LIST(uint32_t) header_value_ends;
    EV_LIST(uint8_t) header_nulls;
} ev_records;

/* `record batch` of wit/types.wit. */
typedef struct {
    EV_LIST(char) topic;
    int32_t partition;
    EV_LIST(int64_t) offsets;
    ev_texts ids;
    ev_texts tipos;
    ev_records records;
} ev_batch;

/* `record outcomes` of wit/types.wit. */
typedef struct {
    EV_LIST(uint8_t) kinds;
    ev_texts reasons;
    EV_LIST(uint32_t) replacement_ends;
    ev_records replacements;
} ev_outcomes;

/* The arguments of emit.send. There are too many for the canonical ABI to pass one by one, so it takes their address. */
typedef struct {
    ev_bytes topic;
    EV_LIST(uint32_t) sources;
    ev_records records;
} ev_emission;

/* The bits of the flags column. */
enum { EV_NULL_KEY = 1, EV_NULL_VALUE = 2, EV_LOG_APPEND_TIME = 4, EV_INTEGER_ID = 8 };

/* Appends an entry. The capacity is not stored: it is the smallest power of two that holds the current entries. */
#define EV_PUSH(list, value)                                                                       \
    do {                                                                                           \
        if (((list).len & ((list).len - 1)) == 0) {                                                \
            size_t size_ = (list).len * sizeof *(list).at;                                         \
            (list).at = ev_resize((list).at, size_, size_ == 0 ? sizeof *(list).at : size_ * 2);   \
        }                                                                                          \
        (list).at[(list).len++] = (value);                                                         \
    } while (0)

/* memory.c */
void *ev_resize(void *old, size_t old_size, size_t new_size);
void ev_memory_keep(void);
void ev_memory_forget(void);

/* format.c */
ev_bytes ev_vformat(const char *format, va_list args);

/* columns.c */
size_t ev_read_all(const ev_batch *batch, ev_evento *eventos);
const ev_evento *ev_first(void);
void ev_push_record(ev_records *to, const ev_record *record);
void ev_push_text(ev_texts *to, ev_bytes text);

/* effects.c */
void ev_set_current(const ev_evento *evento);
void ev_flush(void);

#endif
