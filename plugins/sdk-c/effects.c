/* The effects of a handler. Stored and emitted records are buffered until the end of the batch, so that the store and each
 * topic take one call. Log lines and settings take one call each, at once. */
#include "internal.h"
#ifndef EVENTOS_UNIT_TEST /* testing.c stands in for this file */

#define IMPORT(interface, function) \
    __attribute__((import_module("eventos:handler/" interface "@1.0.0"), import_name(function)))

IMPORT("store", "append") void host_append(const uint32_t *indices, uint32_t len);
IMPORT("emit", "send") void host_send(const ev_emission *emission);
IMPORT("config", "get") void host_get(const char *key, size_t len, void *answer);
IMPORT("config", "all") void host_all(void *answer);
IMPORT("log", "write")
void host_write(int32_t level, int32_t has_index, uint32_t index, const char *message, size_t len);

static const ev_evento *current; /* the Evento that the handler is processing; NULL during init */
static EV_LIST(uint32_t) stored;
static EV_LIST(ev_emission) emitted;

void ev_set_current(const ev_evento *evento) { current = evento; }

void ev_store(const ev_evento *evento) {
    if (!evento->is_tombstone) EV_PUSH(stored, evento->index);
}

static ev_emission *emission_to(ev_bytes topic) {
    /* Handlers emit to one or two topics, so a linear search is enough. */
    for (uint32_t i = 0; i < emitted.len; i++) {
        if (ev_equal(emitted.at[i].topic, topic)) return &emitted.at[i];
    }
    EV_PUSH(emitted, ((ev_emission){.topic = topic}));
    return &emitted.at[emitted.len - 1];
}

void ev_emit(ev_bytes topic, const ev_evento *cause, const ev_record *record) {
    if (topic.data == NULL) ev_panic("the topic to emit to is null");
    ev_emission *to = emission_to(topic);
    EV_PUSH(to->sources, cause->index);
    ev_push_record(&to->records, record);
}

void ev_flush(void) {
    if (stored.len > 0) host_append(stored.at, stored.len);
    for (uint32_t i = 0; i < emitted.len; i++) host_send(&emitted.at[i]);
    stored.at = NULL, stored.len = 0;
    emitted.at = NULL, emitted.len = 0;
}

ev_bytes ev_config(ev_bytes key) {
    struct {
        uint8_t is_set;
        ev_bytes value;
    } answer;
    host_get(key.data, key.len, &answer);
    if (!answer.is_set) return EV_NULL;
    return answer.value.len == 0 ? (ev_bytes){"", 0} : answer.value;
}

const ev_setting *ev_config_all(size_t *count) {
    struct {
        const ev_setting *at;
        size_t len;
    } answer;
    host_all(&answer);
    *count = answer.len;
    return answer.at;
}

static void write(enum ev_level level, ev_bytes message) {
    host_write(level, current != NULL, current == NULL ? 0 : current->index, message.data, message.len);
}

void ev_log(enum ev_level level, const char *format, ...) {
    va_list args;
    va_start(args, format);
    write(level, ev_vformat(format, args));
    va_end(args);
}

void ev_panic_at(const char *file, int line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    ev_bytes text = ev_vformat(format, args);
    va_end(args);
    write(EV_ERROR, ev_format("panicked at %s:%d: %.*s", file, line, EV_ARG(text)));
    __builtin_trap();
}
#endif
