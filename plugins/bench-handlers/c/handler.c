/* The handler in ../src, written in C. */
#include "eventos.h"

static ev_outcome marked(const ev_record *record) {
    ev_header headers[16];
    size_t count = record->header_count;
    if (count >= 16) return ev_reject(ev_text("more than 15 headers"));
    for (size_t i = 0; i < count; i++) headers[i] = record->headers[i];
    headers[count] = (ev_header){ev_text("seen-by"), ev_text("bench")};
    ev_record more = *record;
    more.headers = headers;
    more.header_count = count + 1;
    return ev_replace(&more, 1);
}

ev_outcome handle(const ev_evento *evento) {
    ev_bytes value = evento->record.value;
    if (value.len == 0 || value.data[0] == '!') return ev_drop();
    return ev_is(evento->tipo, "mark") ? marked(&evento->record) : ev_pass();
}
