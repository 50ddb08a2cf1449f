/*
 * The probe in ../src, written in C: the `tipo` of each Evento says what to do with it. The suite
 * host/tests/suite/handlers/languages.rs runs it with the same expectations as the others.
 */
#include "eventos.h"

/* Returns bytes in the form of Rust's `escape_ascii`. */
static ev_bytes escaped(ev_bytes bytes) {
    ev_bytes out = ev_text("");
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        if (c == '"' || c == '\\' || c == '\'')
            out = ev_format("%.*s\\%c", EV_ARG(out), c);
        else if (c >= ' ' && c < 127)
            out = ev_format("%.*s%c", EV_ARG(out), c);
        else
            out = ev_format("%.*s\\x%02x", EV_ARG(out), c);
    }
    return out;
}

static ev_bytes quoted(ev_bytes bytes) {
    if (bytes.data == NULL) return ev_text("null");
    return ev_format("\"%.*s\"", EV_ARG(escaped(bytes)));
}

static const char *bool_text(bool is) { return is ? "true" : "false"; }

static ev_bytes describe(const ev_evento *evento) {
    const ev_record *record = &evento->record;
    ev_bytes headers = ev_text("");
    for (size_t i = 0; i < record->header_count; i++) {
        const ev_header *header = &record->headers[i];
        headers = ev_format("%.*s%s%.*s=%.*s", EV_ARG(headers), i > 0 ? ", " : "", EV_ARG(header->name),
                            EV_ARG(quoted(header->value)));
    }
    ev_bytes timestamp = record->timestamp == EV_NO_TIMESTAMP ? ev_text("None") : ev_format("Some(%lld)", record->timestamp);
    return ev_format("id=\"%.*s\"; integer=%s; tipo=\"%.*s\"; key=%.*s; value=%.*s; headers=[%.*s]; timestamp=%.*s; "
                     "log_append_time=%s; tombstone=%s; topic=%.*s; partition=%d; offset=%lld",
                     EV_ARG(evento->id), bool_text(evento->id_is_integer), EV_ARG(evento->tipo), EV_ARG(quoted(record->key)),
                     EV_ARG(quoted(record->value)), EV_ARG(headers), EV_ARG(timestamp), bool_text(evento->log_append_time),
                     bool_text(evento->is_tombstone), EV_ARG(evento->topic), evento->partition, evento->offset);
}

static ev_bytes settings(void) {
    size_t count;
    const ev_setting *all = ev_config_all(&count);
    ev_bytes out = ev_text("");
    for (size_t i = 0; i < count; i++)
        out = ev_format("%.*s%s(%.*s, %.*s)", EV_ARG(out), i > 0 ? ", " : "", EV_ARG(quoted(all[i].key)),
                        EV_ARG(quoted(all[i].value)));
    return ev_format("[%.*s]", EV_ARG(out));
}

/* Returns a record with a new value and the key, headers and timestamp of its source. */
static ev_record part(const ev_evento *evento, int number) {
    ev_record record = evento->record;
    record.value = ev_format("{\"id\":\"part-%d\",\"tipo\":\"part\",\"of\":%.*s}", number, EV_ARG(record.value));
    return record;
}

static ev_outcome replaced(const ev_evento *evento) {
    ev_record parts[] = {part(evento, 1), part(evento, 2)};
    size_t count = parts[1].header_count;
    ev_header *more = ev_alloc((count + 1) * sizeof *more);
    for (size_t i = 0; i < count; i++) more[i] = parts[1].headers[i];
    more[count] = (ev_header){ev_text("part"), ev_text("2")};
    parts[1].headers = more;
    parts[1].header_count = count + 1;
    return ev_replace(parts, 2);
}

static void emit(const ev_evento *evento, ev_bytes topic) {
    ev_header headers[] = {{ev_text("a"), ev_text("1")}, {ev_text("nothing"), EV_NULL}, {ev_text("a"), ev_text("2")}};
    ev_record record = {
        .key = ev_format("key of %.*s", EV_ARG(evento->id)),
        .value = evento->record.value,
        .headers = headers,
        .header_count = 3,
        .timestamp = 1700000000000,
    };
    ev_emit(topic, evento, &record);
}

static int recurse(volatile int *levels) {
    volatile int frame[128];
    frame[0] = *levels + 1;
    return frame[0] == 0 ? 0 : recurse(frame) + frame[0];
}

/* Ends the handling after an effect as the suffix of the tipo says, so that a test can see whether the effect counts. */
static ev_outcome outcome_after_effect(ev_bytes tipo) {
    if (tipo.len > 7 && ev_is((ev_bytes){tipo.data + tipo.len - 7, 7}, "-reject"))
        return ev_reject(ev_text("rejected after an effect"));
    if (tipo.len > 6 && ev_is((ev_bytes){tipo.data + tipo.len - 6, 6}, "-retry"))
        return ev_retry(ev_text("retried after an effect"));
    if (tipo.len > 6 && ev_is((ev_bytes){tipo.data + tipo.len - 6, 6}, "-panic")) ev_panic("panicked after an effect");
    return ev_pass();
}

static bool begins(ev_bytes bytes, const char *with) {
    size_t len = ev_text(with).len;
    return bytes.len >= len && ev_is((ev_bytes){bytes.data, len}, with);
}

ev_bytes init(void) {
    ev_bytes text = ev_config(ev_text("fail_init"));
    if (text.data == NULL) return EV_NULL;
    return ev_format("fail_init is set: %.*s", EV_ARG(text));
}

ev_outcome handle(const ev_evento *evento) {
    ev_bytes tipo = evento->tipo, id = evento->id;
    if (evento->is_tombstone) {
        tipo = ev_config(ev_text("tombstone"));
        if (tipo.data == NULL) tipo = ev_text("");
    }
    if (ev_is(tipo, "drop")) return ev_drop();
    if (ev_is(tipo, "replace")) return replaced(evento);
    if (ev_is(tipo, "random")) {
        const char *format = "{\"id\":\"%.*s\",\"tipo\":\"random\",\"numbers\":[\"%llu\"]}";
        ev_record record = ev_record_of(ev_format(format, EV_ARG(id), (unsigned long long)ev_seed(evento)));
        return ev_replace(&record, 1);
    }
    if (ev_is(tipo, "replace-none")) return ev_replace(NULL, 0);
    if (ev_is(tipo, "replace-tombstone"))
        return ev_replace(&(ev_record){.key = id, .timestamp = EV_NO_TIMESTAMP}, 1);
    if (ev_is(tipo, "echo")) return ev_replace(&evento->record, 1);
    if (ev_is(tipo, "retry")) return ev_retry(ev_format("%.*s is asked to be retried", EV_ARG(id)));
    if (ev_is(tipo, "reject")) return ev_reject(ev_format("%.*s is asked to be rejected", EV_ARG(id)));
    if (ev_is(tipo, "headers")) return ev_reject(describe(evento));
    if (ev_is(tipo, "config")) return ev_reject(settings());
    if (ev_is(tipo, "panic")) ev_panic("asked to panic");
    if (ev_is(tipo, "spin"))
        for (volatile bool on = true; on;) {}
    if (ev_is(tipo, "grow"))
        for (;;) *(volatile char *)ev_alloc(1 << 20) = 1;
    if (ev_is(tipo, "recurse")) {
        volatile int levels = 0;
        recurse(&levels);
    }
    if (begins(tipo, "store")) {
        ev_store(evento);
        return outcome_after_effect(tipo);
    }
    if (ev_is(tipo, "emit-forbidden")) {
        emit(evento, ev_text("forbidden"));
        return ev_pass();
    }
    if (begins(tipo, "emit")) {
        emit(evento, ev_config(ev_text("emit_to")));
        return outcome_after_effect(tipo);
    }
    if (begins(tipo, "log")) {
        static const char *const levels[] = {"trace", "debug", "info", "warn", "error"};
        for (enum ev_level level = EV_TRACE; level <= EV_ERROR; level++)
            ev_log(level, "%.*s at %s", EV_ARG(id), levels[level]);
        return outcome_after_effect(tipo);
    }
    return ev_pass();
}
