/* The struct of arrays that carries records between host and handler (wit/types.wit): reading and appending. */
#include "internal.h"

static ev_bytes piece(const char *bytes, uint32_t from, uint32_t to, bool null) {
    if (null) return EV_NULL;
    /* The host may pass any pointer for an empty buffer. */
    if (from == to) return (ev_bytes){"", 0};
    return (ev_bytes){bytes + from, to - from};
}

static const ev_evento *first; /* of the current batch */

const ev_evento *ev_first(void) { return first; }

/* Reads the records of a batch into an array of structs and returns their number. All headers are in one array, as in
 * the columns. */
size_t ev_read_all(const ev_batch *batch, ev_evento *eventos) {
    const ev_records *in = &batch->records;
    ev_header *headers = ev_alloc(in->header_name_ends.len * sizeof *headers);
    uint32_t at = 0, id = 0, tipo = 0, header = 0;
    first = eventos;
    for (uint32_t i = 0; i < batch->offsets.len; i++) {
        uint8_t flags = in->flags.at[i];
        ev_evento *out = &eventos[i];
        out->index = i;
        out->topic = piece(batch->topic.at, 0, batch->topic.len, false);
        out->partition = batch->partition;
        out->offset = batch->offsets.at[i];
        out->id = piece(batch->ids.bytes.at, id, batch->ids.ends.at[i], false);
        out->tipo = piece(batch->tipos.bytes.at, tipo, batch->tipos.ends.at[i], false);
        id = batch->ids.ends.at[i];
        tipo = batch->tipos.ends.at[i];
        out->id_is_integer = (flags & EV_INTEGER_ID) != 0;
        out->is_tombstone = (flags & EV_NULL_VALUE) != 0;
        out->log_append_time = (flags & EV_LOG_APPEND_TIME) != 0;
        uint32_t key_end = in->key_ends.at[i], value_end = in->value_ends.at[i];
        out->record.key = piece(in->bytes.at, at, key_end, (flags & EV_NULL_KEY) != 0);
        out->record.value = piece(in->bytes.at, key_end, value_end, out->is_tombstone);
        out->record.timestamp = in->timestamps.at[i];
        at = value_end;
        out->record.headers = headers + header;
        out->record.header_count = in->header_ends.at[i] - header;
        for (; header < in->header_ends.at[i]; header++) {
            uint32_t name_end = in->header_name_ends.at[header], end = in->header_value_ends.at[header];
            headers[header].name = piece(in->bytes.at, at, name_end, false);
            headers[header].value = piece(in->bytes.at, name_end, end, in->header_nulls.at[header] != 0);
            at = end;
        }
    }
    return batch->offsets.len;
}

/* Appends bytes to a buffer. The capacity follows from the length, as in EV_PUSH. */
static void push_bytes(char **at, uint32_t *len, ev_bytes bytes) {
    if (bytes.len == 0) return;
    size_t capacity = 0, wanted = *len + bytes.len;
    while (capacity < *len) capacity = capacity == 0 ? 64 : capacity * 2;
    size_t larger = capacity == 0 ? 64 : capacity;
    while (larger < wanted) larger *= 2;
    if (larger > capacity) *at = ev_resize(*at, *len == 0 ? 0 : capacity, larger);
    __builtin_memcpy(*at + *len, bytes.data, bytes.len);
    *len = wanted;
}

void ev_push_text(ev_texts *to, ev_bytes text) {
    push_bytes(&to->bytes.at, &to->bytes.len, text);
    EV_PUSH(to->ends, to->bytes.len);
}

static void check_bytes(ev_bytes bytes, const char *what) {
    if (bytes.data == NULL && bytes.len > 0) ev_panic("the %s of a record has a length but no bytes", what);
}

/* A record that was not filled in completely would become something else than what its author meant. */
static void check(const ev_record *record) {
    check_bytes(record->key, "key");
    check_bytes(record->value, "value");
    if (record->timestamp < EV_NO_TIMESTAMP) ev_panic("the timestamp of a record is %lld", (long long)record->timestamp);
    if (record->headers == NULL && record->header_count > 0)
        ev_panic("a record has %zu headers, but its list is NULL", record->header_count);
    for (size_t i = 0; i < record->header_count; i++) {
        if (record->headers[i].name.data == NULL) ev_panic("the name of header %zu of a record is null", i);
        check_bytes(record->headers[i].value, "header");
    }
}

void ev_push_record(ev_records *to, const ev_record *record) {
    check(record);
    push_bytes(&to->bytes.at, &to->bytes.len, record->key);
    EV_PUSH(to->key_ends, to->bytes.len);
    push_bytes(&to->bytes.at, &to->bytes.len, record->value);
    EV_PUSH(to->value_ends, to->bytes.len);
    uint8_t null_key = record->key.data == NULL ? EV_NULL_KEY : 0;
    uint8_t null_value = record->value.data == NULL ? EV_NULL_VALUE : 0;
    EV_PUSH(to->flags, null_key | null_value);
    EV_PUSH(to->timestamps, record->timestamp);
    for (size_t i = 0; i < record->header_count; i++) {
        const ev_header *header = &record->headers[i];
        push_bytes(&to->bytes.at, &to->bytes.len, header->name);
        EV_PUSH(to->header_name_ends, to->bytes.len);
        push_bytes(&to->bytes.at, &to->bytes.len, header->value);
        EV_PUSH(to->header_value_ends, to->bytes.len);
        EV_PUSH(to->header_nulls, header->value.data == NULL);
    }
    EV_PUSH(to->header_ends, to->header_nulls.len);
}
