/*
 * {{name}}: lets earthquakes through, and drops whatever is none.
 *
 * The setting `tipo` names another kind to let through. sdk/eventos.h says what else a handler can do.
 */
#include "eventos.h"

static ev_bytes wanted;

/* Runs once in each new instance; a text that is not null refuses the handler. */
ev_bytes init(void) {
    wanted = ev_config(ev_text("tipo"));
    if (wanted.data == NULL) wanted = ev_text("earthquake");
    if (wanted.len == 0) return ev_text("the setting tipo is empty");
    return EV_NULL;
}

ev_outcome handle(const ev_evento *evento) {
    if (evento->is_tombstone) return ev_pass();
    if (!ev_equal(evento->tipo, wanted)) return ev_drop();
    ev_log(EV_INFO, "%.*s is let through", EV_ARG(evento->id));
    return ev_pass();
}
