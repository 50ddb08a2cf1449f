/* A stand-in for the daemon and the memory, for unit tests. */
#ifdef EVENTOS_UNIT_TEST
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

ev_test_emission ev_test_emitted[64];
size_t ev_test_emitted_count, ev_test_stored_count;

static ev_setting settings[64];
static size_t setting_count;

/* Nothing is released: a test is short. */
void *ev_alloc(size_t size) {
    void *memory = malloc(size == 0 ? 1 : size);
    if (memory == NULL) abort();
    return memory;
}

void *ev_resize(void *old, size_t old_size, size_t new_size) {
    void *memory = ev_alloc(new_size);
    if (old_size > 0) memcpy(memory, old, old_size < new_size ? old_size : new_size);
    return memory;
}

void ev_memory_keep(void) {}
void ev_memory_forget(void) {}
void ev_set_current(const ev_evento *evento) { (void)evento; }
void ev_flush(void) {}

void ev_store(const ev_evento *evento) { ev_test_stored_count += !evento->is_tombstone; }

void ev_emit(ev_bytes topic, const ev_evento *cause, const ev_record *record) {
    (void)cause;
    ev_test_check(ev_test_emitted_count < 64, __FILE__, __LINE__, "a test emits at most 64 records");
    ev_header *headers = ev_alloc(record->header_count * sizeof *headers);
    for (size_t i = 0; i < record->header_count; i++) headers[i] = record->headers[i];
    ev_test_emitted[ev_test_emitted_count] = (ev_test_emission){topic, *record};
    ev_test_emitted[ev_test_emitted_count++].record.headers = headers;
}

ev_bytes ev_config(ev_bytes key) {
    for (size_t i = 0; i < setting_count; i++)
        if (ev_equal(settings[i].key, key)) return settings[i].value;
    return EV_NULL;
}

const ev_setting *ev_config_all(size_t *count) {
    *count = setting_count;
    return settings;
}

void ev_log(enum ev_level level, const char *format, ...) {
    (void)level, (void)format;
}

void ev_panic_at(const char *file, int line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    ev_bytes text = ev_vformat(format, args);
    fprintf(stderr, "panicked at %s:%d: %.*s\n", file, line, EV_ARG(text));
    exit(101);
}

ev_bytes ev_test_start(const char *key, ...) {
    va_list args;
    va_start(args, key);
    for (setting_count = 0; key != NULL && setting_count < 64; key = va_arg(args, const char *))
        settings[setting_count++] = (ev_setting){ev_text(key), ev_text(va_arg(args, const char *))};
    va_end(args);
    ev_test_emitted_count = ev_test_stored_count = 0;
    return init();
}

ev_evento *ev_test_evento(const char *json) {
    ev_evento *evento = ev_alloc(sizeof *evento);
    ev_bytes value = ev_text(json), id = ev_at(value, "/id");
    ev_test_check(id.data != NULL, __FILE__, __LINE__, "an Evento has an id");
    bool is_integer = id.data[0] != '"';
    *evento = (ev_evento){
        .id = is_integer ? id : ev_json_to_text(id),
        .tipo = ev_json_to_text(ev_at(value, "/tipo")),
        .id_is_integer = is_integer,
        .record = ev_record_of(value),
        .topic = ev_text("eventos"),
    };
    return evento;
}

ev_bytes ev_test_name(ev_outcome outcome) {
    static const char *const names[] = {"pass", "drop", "replace", "retry", "reject"};
    return outcome.kind < 5 ? ev_text(names[outcome.kind]) : EV_NULL;
}

void ev_test_check(bool holds, const char *file, int line, const char *what) {
    if (holds) return;
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, what);
    exit(1);
}
#endif
