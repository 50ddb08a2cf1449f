/*
 * {{name}}: passes earthquakes, and drops all other Eventos.
 *
 * The setting `tipo` selects another type to pass. sdk/eventos.h documents what else a handler can do.
 */
#include "eventos.h"

static ev_bytes wanted;

/* Runs once in each new instance. If it returns a text other than null, the handler does not start. */
ev_bytes init(void) {
    wanted = ev_config(ev_text("tipo"));
    if (wanted.data == NULL) wanted = ev_text("earthquake");
    if (wanted.len == 0) return ev_text("the setting tipo is empty");
    return EV_NULL;
}

ev_outcome handle(const ev_evento *evento) {
    if (evento->is_tombstone) return ev_pass();
    if (!ev_equal(evento->tipo, wanted)) return ev_drop();
    ev_log(EV_INFO, "passed %.*s", EV_ARG(evento->id));
    return ev_pass();
}
