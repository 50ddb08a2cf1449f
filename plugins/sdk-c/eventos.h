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
 * There is no libc: a handler has no files, no network and no environment. This header is the
 * whole API.
 *
 * Memory from the SDK and from ev_alloc lives until the end of the batch or, if it was allocated
 * in `init`, as long as the instance. Do not free anything.
 */
#ifndef EVENTOS_H
#define EVENTOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes. `data` is NULL if and only if they are null, which differs from empty. They are
 * not terminated by a zero. */
typedef struct {
    const char *data;
    size_t len;
} ev_bytes;

/* A header of a Kafka record. Names may repeat; the value may be null. */
typedef struct {
    ev_bytes name;
    ev_bytes value;
} ev_header;

/* The timestamp of a record that has none. */
#define EV_NO_TIMESTAMP (-1)

/* A Kafka record, to replace an Evento with or to emit. With EV_NO_TIMESTAMP it gets the time at
 * which it is produced or, as a replacement, the timestamp of the Evento that it replaces. Begin with
 * ev_record_of or a copy of the record of an Evento: a timestamp that is left out is 0, which is 1970. */
typedef struct {
    ev_bytes key;
    ev_bytes value; /* an Evento as JSON; null makes a tombstone */
    const ev_header *headers;
    size_t header_count;
    int64_t timestamp; /* milliseconds since 1970-01-01 UTC */
} ev_record;

/* An Evento or a tombstone, with its whole Kafka record. */
typedef struct {
    ev_bytes id;   /* escapes resolved; an integer keeps all its digits; empty for a tombstone */
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

/* The result of handling one Evento. Created by the functions below. */
typedef struct {
    uint8_t kind;
    ev_bytes reason;
    const ev_record *records;
    size_t count;
} ev_outcome;

/* ---- What the author writes ------------------------------------------------------------------ */

/* Handles one Evento. */
ev_outcome handle(const ev_evento *evento);

/* Optional: runs once in each new instance. Return EV_NULL to start, or the text of an error, with
 * which the daemon then refuses to load the handler. Use it to validate the configuration. */
ev_bytes init(void);

/* ---- Outcomes -------------------------------------------------------------------------------- */

/* Returns a record with this value, and without key, headers and timestamp. */
ev_record ev_record_of(ev_bytes value);
/* Passes the Evento on to the next handler unchanged. */
ev_outcome ev_pass(void);
/* Ends the processing of the Evento. */
ev_outcome ev_drop(void);
/* Passes `count` records, 0 or more, on to the next handler instead. The records and their lists of
 * headers are copied, so they may be on the stack; the bytes that they point to are not copied. */
ev_outcome ev_replace(const ev_record *records, size_t count);
/* Asks the daemon to call the handler with the Evento again, for a transient failure. Discards its
 * effects. */
ev_outcome ev_retry(ev_bytes reason);
/* Sends the Evento to the dead-letter topic with the reason. Discards its effects. */
ev_outcome ev_reject(ev_bytes reason);

/* ---- Effects: they take effect when the call that handles the batch returns ------------------- */

/* Appends the Evento to the store that GET /messages serves. Ignores a tombstone. */
void ev_store(const ev_evento *evento);
/* Emits a record to a topic that is listed in the handler's `produce` setting, on behalf of `cause`.
 * Any other topic ends the call with a trap, as a panic does. */
void ev_emit(ev_bytes topic, const ev_evento *cause, const ev_record *record);

/* ---- Settings and logging --------------------------------------------------------------------- */

typedef struct {
    ev_bytes key;
    ev_bytes value;
} ev_setting;

/* Returns a setting of the table [handler.NAME.config]: a string as it is, any other value as JSON
 * text, null if the key is not set. */
ev_bytes ev_config(ev_bytes key);
/* Return a setting as a type, or `otherwise` if the key is not set. A setting of another type ends the call with a
 * trap; call them in `init`, so that the daemon does not load the handler and reports what is wrong. */
bool ev_config_bool(const char *key, bool otherwise);
int64_t ev_config_int(const char *key, int64_t otherwise);
double ev_config_double(const char *key, double otherwise);
/* Returns all settings, in ascending order of their keys. */
const ev_setting *ev_config_all(size_t *count);

enum ev_level { EV_TRACE, EV_DEBUG, EV_INFO, EV_WARN, EV_ERROR };

#define EV_PRINTF(at) __attribute__((format(printf, at, (at) + 1)))

/* Writes a line to the daemon's log, with the handler's name, the partition and the offset. */
void ev_log(enum ev_level level, const char *format, ...) EV_PRINTF(2);

/* Ends the call with a trap; the text goes to the log and to the dead letter. For bugs only: for an
 * invalid Evento return ev_reject. */
#define ev_panic(...) ev_panic_at(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void ev_panic_at(const char *file, int line, const char *format, ...) EV_PRINTF(3);

/* ---- JSON -------------------------------------------------------------------------------------- */

/* Returns the JSON text of the value at a JSON pointer (RFC 6901) such as "/geometry/coordinates/2", with every
 * digit; null if there is none or `json` is null: ev_at(evento->record.value, "/mag"). */
ev_bytes ev_at(ev_bytes json, const char *pointer);
/* Returns `json` with the value at the pointer replaced with `value`, and all other bytes as they are. A member that an
 * object lacks is added at its end, and so is the element of an array after its last one, whose index may be "-".
 * Returns null if the object or array to add to does not exist, or `value` is not JSON. */
ev_bytes ev_set_at(ev_bytes json, const char *pointer, ev_bytes value);
/* Returns whether a text is one JSON value. */
bool ev_is_json(ev_bytes text);
/* Convert the JSON text of a value. They return whether it is of this type, and leave *to unchanged if not. A double may
 * differ from the nearest one in its last digits if the number has more than 15 digits. */
bool ev_json_to_bool(ev_bytes json, bool *to);
bool ev_json_to_int(ev_bytes json, int64_t *to);
bool ev_json_to_double(ev_bytes json, double *to);
/* Returns the text of a JSON string, without quotes and with escapes resolved; null if it is no string. */
ev_bytes ev_json_to_text(ev_bytes json);
/* Returns a text as a JSON string, with quotes. */
ev_bytes ev_text_to_json(ev_bytes text);

/* ---- Bytes ------------------------------------------------------------------------------------ */

/* The arguments for "%.*s": ev_format("%.*s is wrong", EV_ARG(evento->id)). */
#define EV_ARG(bytes) (int)(bytes).len, (bytes).data

/* Null bytes. */
#define EV_NULL ((ev_bytes){NULL, 0})

/* Returns the bytes of a zero-terminated text, without the zero. */
ev_bytes ev_text(const char *text);
/* Formats a text like printf. Supports %s, %.*s, %c, %d, %u, %x (with 0, a width, ll and z) and %%. */
ev_bytes ev_format(const char *format, ...) EV_PRINTF(1);
/* Returns whether the bytes equal the text. Null equals no text. */
bool ev_is(ev_bytes bytes, const char *text);
/* Returns whether the bytes are equal. Null equals nothing, not even null. */
bool ev_equal(ev_bytes left, ev_bytes right);
/* Returns a number to seed a random number generator with. It follows from topic, partition and offset
 * and from the name of the handler: it differs from record to record and from handler to handler, and a
 * replay gives the same again. Whoever knows the record can compute it. */
uint64_t ev_seed(const ev_evento *evento);
/* Returns the last header with this name, or NULL if there is none. */
const ev_header *ev_header_named(const ev_evento *evento, const char *name);
/* Allocates memory that lives as long as the memory from the SDK. It is aligned for any type and not
 * cleared. Running out of memory ends the call with a trap. */
void *ev_alloc(size_t size);

#endif
