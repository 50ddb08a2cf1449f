/*
 * Runs a handler in a unit test of this machine, without WebAssembly and without a daemon:
 *
 *     #include "testing.h"
 *
 *     int main(void) {
 *         ev_test_start("least", "4.0", NULL);
 *         ev_outcome outcome = handle(ev_test_evento("{\"id\":1,\"tipo\":\"earthquake\",\"mag\":3.9}"));
 *         EV_CHECK(ev_is(ev_test_name(outcome), "drop"));
 *     }
 *
 * Build it for this machine together with the handler and the .c files of the SDK, with -DEVENTOS_UNIT_TEST.
 */
#ifndef EVENTOS_TESTING_H
#define EVENTOS_TESTING_H

#include "eventos.h"

/* Sets the settings of the handler, pairs of key and value that end with NULL, forgets all effects and calls `init`. Returns
 * what `init` returned. */
ev_bytes ev_test_start(const char *key, ...);
/* Returns an Evento with this JSON as its value and without key, headers and timestamp, which you may change. */
ev_evento *ev_test_evento(const char *json);
/* Returns "pass", "drop", "replace", "retry" or "reject". The reason is in outcome.reason, and the replacements are in
 * outcome.records and outcome.count. */
ev_bytes ev_test_name(ev_outcome outcome);

/* A record that the handler emitted. */
typedef struct {
    ev_bytes topic;
    ev_record record;
} ev_test_emission;

/* The effects since the start. Whether they count depends on the outcome of their Evento. */
extern ev_test_emission ev_test_emitted[64];
extern size_t ev_test_emitted_count, ev_test_stored_count;

/* Ends the test with an error if this does not hold. */
#define EV_CHECK(holds) ev_test_check(holds, __FILE__, __LINE__, #holds)
void ev_test_check(bool holds, const char *file, int line, const char *what);

#endif
