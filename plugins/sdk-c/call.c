/* The exports of the world: run the handler on each record of a batch, then hand the effects to the host. */
#include "internal.h"

enum { PASS, DROP, REPLACE, RETRY, REJECT };

static ev_outcomes outcomes;

static struct {
    uint8_t is_error;
    ev_bytes error;
} started;

/* The default `init`, which a handler's own replaces at link time. */
__attribute__((weak)) ev_bytes init(void) { return EV_NULL; }

__attribute__((export_name("init"))) void *ev_export_init(void) {
    ev_bytes refusal = init();
    started.is_error = refusal.data != NULL;
    started.error = refusal;
    ev_memory_keep();
    return &started;
}

static void push(ev_outcome outcome) {
    if (outcome.kind > REJECT) ev_panic("handle returned an outcome of the unknown kind %d", outcome.kind);
    EV_PUSH(outcomes.kinds, outcome.kind);
    if (outcome.kind == RETRY || outcome.kind == REJECT) ev_push_text(&outcomes.reasons, outcome.reason);
    if (outcome.kind != REPLACE) return;
    for (size_t i = 0; i < outcome.count; i++) ev_push_record(&outcomes.replacements, &outcome.records[i]);
    EV_PUSH(outcomes.replacement_ends, outcomes.replacements.flags.len);
}

__attribute__((export_name("handle"))) void *ev_export_handle(const ev_batch *batch) {
    __builtin_memset(&outcomes, 0, sizeof outcomes);
    ev_evento *eventos = ev_alloc(batch->offsets.len * sizeof *eventos);
    size_t count = ev_read_all(batch, eventos);
    for (size_t i = 0; i < count; i++) {
        ev_set_current(&eventos[i]);
        push(handle(&eventos[i]));
    }
    ev_set_current(NULL);
    ev_flush();
    return &outcomes;
}

/* Called by the host once it has read the outcomes. */
__attribute__((export_name("cabi_post_handle"))) void ev_after_handle(void *answer) {
    (void)answer;
    ev_memory_forget();
}

ev_outcome ev_pass(void) { return (ev_outcome){.kind = PASS}; }

ev_outcome ev_drop(void) { return (ev_outcome){.kind = DROP}; }

ev_outcome ev_retry(ev_bytes reason) { return (ev_outcome){.kind = RETRY, .reason = reason}; }

ev_outcome ev_reject(ev_bytes reason) { return (ev_outcome){.kind = REJECT, .reason = reason}; }

static void *copy(const void *from, size_t size) {
    void *to = ev_alloc(size);
    if (size > 0) __builtin_memcpy(to, from, size);
    return to;
}

ev_record ev_record_of(ev_bytes value) { return (ev_record){.value = value, .timestamp = EV_NO_TIMESTAMP}; }

ev_outcome ev_replace(const ev_record *records, size_t count) {
    if (records == NULL && count > 0) ev_panic("ev_replace got %zu records, but their list is NULL", count);
    ev_record *own = copy(records, count * sizeof *records);
    for (size_t i = 0; i < count; i++)
        own[i].headers = copy(own[i].headers, own[i].header_count * sizeof *own[i].headers);
    return (ev_outcome){.kind = REPLACE, .records = own, .count = count};
}
