/* Tests of the handler, without WebAssembly. README.md says how to run them. */
#include "testing.h"

#define EARTHQUAKE(mag) "{\"id\":1,\"tipo\":\"earthquake\",\"mag\":" mag "}"

int main(void) {
    ev_test_start("least", "4.0", "alerts", "alerts", NULL);
    EV_CHECK(ev_is(ev_test_name(handle(ev_test_evento(EARTHQUAKE("3.9")))), "drop"));
    EV_CHECK(ev_is(ev_test_name(handle(ev_test_evento("{\"id\":3,\"tipo\":\"explosion\"}"))), "pass"));
    EV_CHECK(ev_test_emitted_count == 0);

    ev_outcome marked = handle(ev_test_evento(EARTHQUAKE("4.0")));
    EV_CHECK(ev_is(ev_test_name(marked), "replace") && marked.count == 1);
    EV_CHECK(ev_is(marked.records[0].value, "{\"id\":1,\"tipo\":\"earthquake\",\"mag\":4.0,\"level\":\"strong\"}"));
    EV_CHECK(ev_is(marked.records[0].headers[0].name, "marked-by"));
    EV_CHECK(ev_test_emitted_count == 1 && ev_is(ev_test_emitted[0].topic, "alerts"));
    EV_CHECK(ev_is(ev_test_emitted[0].record.key, "1"));

    ev_outcome rejected = handle(ev_test_evento(EARTHQUAKE("null")));
    EV_CHECK(ev_is(rejected.reason, "the earthquake has no magnitude"));
}
