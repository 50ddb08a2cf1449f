/*
 * {{name}}: lets whatever has no header `draft` through, and drops the rest.
 * sdk/eventos.h says what else a handler can do.
 */
#include "eventos.h"

static ev_bytes header;

/* Runs once in each new instance; a text that is not null refuses the handler. */
ev_bytes init(void) {
    header = ev_config(ev_text("header"));
    if (header.data == NULL) header = ev_text("draft");
    return EV_NULL;
}

ev_outcome handle(const ev_evento *evento) {
    const ev_record *record = &evento->record;
    for (size_t i = 0; i < record->header_count; i++)
        if (ev_equal(record->headers[i].name, header)) return ev_drop();
    return ev_pass();
}
