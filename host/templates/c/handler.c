/*
 * {{name}}: drops weak earthquakes, marks strong ones and emits them to a topic, and passes all other Eventos.
 *
 * Settings: `least`, the least magnitude of a strong earthquake, 5.0 by default; `alerts`, the topic to emit them to, none
 * by default. sdk/eventos.h documents what else a handler can do.
 */
#include "eventos.h"

static double least;
static ev_bytes alerts;

/* Runs once in each new instance. If it panics, or returns a text other than null, the handler does not start. */
ev_bytes init(void) {
    least = ev_config_double("least", 5.0);
    alerts = ev_config(ev_text("alerts"));
    return EV_NULL;
}

/* Returns a copy of the record of an Evento with one more header. */
static ev_record with_header(const ev_evento *evento, const char *name, const char *value) {
    ev_record record = evento->record;
    ev_header *headers = ev_alloc((record.header_count + 1) * sizeof *headers);
    for (size_t i = 0; i < record.header_count; i++) headers[i] = record.headers[i];
    headers[record.header_count++] = (ev_header){ev_text(name), ev_text(value)};
    record.headers = headers;
    return record;
}

ev_outcome handle(const ev_evento *evento) {
    if (evento->is_tombstone || !ev_is(evento->tipo, "earthquake")) return ev_pass();
    double mag;
    ev_bytes text = ev_at(evento->record.value, "/mag");
    if (!ev_json_to_double(text, &mag)) return ev_reject(ev_text("the earthquake has no magnitude"));
    if (mag < least) return ev_drop();
    ev_log(EV_INFO, "strong earthquake %.*s of magnitude %.*s", EV_ARG(evento->id), EV_ARG(text));
    if (alerts.len > 0) {
        /* The topic has to be in the handler's setting `produce` as well. */
        ev_header header = {ev_text("mag"), text};
        ev_record alert = ev_record_of(evento->record.value);
        alert.key = evento->id;
        alert.headers = &header;
        alert.header_count = 1;
        ev_emit(alerts, evento, &alert);
    }
    /* Sets one member, and leaves all others as they are, byte for byte. */
    ev_record marked = with_header(evento, "marked-by", "{{handler}}");
    marked.value = ev_set_at(evento->record.value, "/level", ev_text("\"strong\""));
    return ev_replace(&marked, 1);
}
