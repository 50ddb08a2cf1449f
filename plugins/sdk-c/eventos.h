/*
 * Write an eventos handler in C: one function from an Evento to its outcome.
 *
 *     #include "eventos.h"
 *
 *     ev_outcome handle(const ev_evento *evento) {
 *         const ev_header *alert = ev_header_named(evento, "alert");
 *         return alert != NULL ? ev_pass() : ev_drop();
 *     }
 *
 * There is no libc, for there is nothing for it to talk to: no files, no network, no environment.
 * What is here is all there is.
 *
 * Memory: what the SDK hands out, and what ev_alloc gives, lives until the batch has been
 * answered, or, if it was made in `init`, as long as the instance. Nothing is to be freed.
 */
#ifndef EVENTOS_H
#define EVENTOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of somebody else's. `data` is NULL if and only if they are null, which is not the same as
 * empty. They do not end with a zero. */
typedef struct {
    const char *data;
    size_t len;
} ev_bytes;

/* A header of a Kafka record. Names may repeat; the value may be null. */
typedef struct {
    ev_bytes name;
    ev_bytes value;
} ev_header;

/* A timestamp that is not there. */
#define EV_NO_TIMESTAMP (-1)

/* A record of one's own: to replace an Evento, or to emit. With EV_NO_TIMESTAMP it gets the time at
 * which it is produced or, in a replacement, that of the Evento that it replaces. */
typedef struct {
    ev_bytes key;
    ev_bytes value; /* an Evento as JSON; null makes a tombstone */
    const ev_header *headers;
    size_t header_count;
    int64_t timestamp; /* milliseconds since 1970-01-01 UTC */
} ev_record;

/* An Evento, or a tombstone, and all of its record. */
typedef struct {
    ev_bytes id;   /* escapes resolved; an integer in its own digits; empty for a tombstone */
    ev_bytes tipo; /* escapes resolved; empty for a tombstone */
    bool id_is_integer;
    bool is_tombstone;      /* record.value is null */
    bool log_append_time;   /* the broker set the timestamp */
    ev_record record;
    ev_bytes topic;
    int32_t partition;
    int64_t offset;
    uint32_t index; /* in its batch */
} ev_evento;

/* What becomes of an Evento. Made by the functions below. */
typedef struct {
    uint8_t kind;
    ev_bytes reason;
    const ev_record *records;
    size_t count;
} ev_outcome;

/* ---- What the author writes ------------------------------------------------------------------ */

/* Answers one Evento. */
ev_outcome handle(const ev_evento *evento);

/* Optional: runs once in each new instance. A text that is not null refuses the handler with it;
 * it is the place to look at the configuration. */
ev_bytes init(void);

/* ---- Outcomes -------------------------------------------------------------------------------- */

/* It goes on to the next handler unchanged. */
ev_outcome ev_pass(void);
/* It goes no further. */
ev_outcome ev_drop(void);
/* `count` records, 0 or more, go on in its place. The records and their lists of headers are
 * copied at once, so they may lie on the stack; the bytes that they point to are not. */
ev_outcome ev_replace(const ev_record *records, size_t count);
/* A transient failure: it is handed in again. Its effects are discarded. */
ev_outcome ev_retry(ev_bytes reason);
/* It goes to the dead letters with the reason. Its effects are discarded. */
ev_outcome ev_reject(ev_bytes reason);

/* ---- Effects: they count when the whole batch has been answered ------------------------------- */

/* Puts the Evento in the store that GET /messages serves. A tombstone is passed over. */
void ev_store(const ev_evento *evento);
/* Produces a record to a topic that the handler's `produce` setting names, on behalf of `cause`.
 * Another topic ends the call as a panic does. */
void ev_emit(ev_bytes topic, const ev_evento *cause, const ev_record *record);

/* ---- What it is told, and tells --------------------------------------------------------------- */

typedef struct {
    ev_bytes key;
    ev_bytes value;
} ev_setting;

/* A setting of the table [handler.NAME.config]: strings as they are, other values as JSON text;
 * null if it is not set. */
ev_bytes ev_config(ev_bytes key);
/* Every setting, by key ascending. */
const ev_setting *ev_config_all(size_t *count);

enum ev_level { EV_TRACE, EV_DEBUG, EV_INFO, EV_WARN, EV_ERROR };

#define EV_PRINTF(at) __attribute__((format(printf, at, (at) + 1)))

/* A line in the daemon's log, with the handler's name, the partition and the offset. */
void ev_log(enum ev_level level, const char *format, ...) EV_PRINTF(2);

/* Ends the call for a bug, never for an Evento that is wrong: its text reaches the log and the dead letter. */
#define ev_panic(...) ev_panic_at(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void ev_panic_at(const char *file, int line, const char *format, ...) EV_PRINTF(3);

/* ---- Bytes ------------------------------------------------------------------------------------ */

/* For "%.*s": ev_format("%.*s is wrong", EV_ARG(evento->id)). */
#define EV_ARG(bytes) (int)(bytes).len, (bytes).data

/* Null, and no bytes at all. */
#define EV_NULL ((ev_bytes){NULL, 0})

/* A text that ends with a zero. */
ev_bytes ev_text(const char *text);
/* As printf does, of which it has %s, %.*s, %c, %d, %u, %x (with 0, a width, ll and z) and %%. */
ev_bytes ev_format(const char *format, ...) EV_PRINTF(1);
/* Whether these are the bytes of that text. Null is equal to none. */
bool ev_is(ev_bytes bytes, const char *text);
/* Whether these are the same bytes. Null is equal to none, not even to itself. */
bool ev_equal(ev_bytes left, ev_bytes right);
/* The last header of this name; NULL if there is none. */
const ev_header *ev_header_named(const ev_evento *evento, const char *name);
/* Memory that lives as long as what the SDK hands out; fitted for any type, not cleared. Running
 * out of it ends the call. */
void *ev_alloc(size_t size);

#endif
