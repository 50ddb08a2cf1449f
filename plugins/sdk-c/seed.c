/* The seed of a record: a hash of what identifies it, and of the name of the handler. The same as in the SDK for Rust. */
#include "internal.h"

/* FNV-1a. */
static uint64_t add(uint64_t hash, uint8_t byte) { return (hash ^ byte) * 0x100000001b3u; }

static uint64_t add_text(uint64_t hash, ev_bytes text) {
    for (size_t i = 0; i < text.len; i++) hash = add(hash, (uint8_t)text.data[i]);
    return add(hash, 0xff);
}

static uint64_t add_number(uint64_t hash, int64_t number) {
    for (int shift = 0; shift < 64; shift += 8) hash = add(hash, (uint8_t)((uint64_t)number >> shift));
    return hash;
}

uint64_t ev_seed(const ev_evento *evento) {
    /* Replacements that an earlier handler made share an offset. */
    const ev_evento *first = ev_first();
    int64_t sharing = 0;
    while (sharing < evento->index && first[evento->index - 1 - sharing].offset == evento->offset) sharing++;
    uint64_t hash = add_text(0xcbf29ce484222325u, ev_config(ev_text("eventos.handler")));
    hash = add_text(hash, evento->topic);
    hash = add_number(add_number(add_number(hash, evento->partition), evento->offset), sharing);
    /* The last step of SplitMix64, so that each bit of the input changes each bit of the number. */
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9u;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebu;
    return hash ^ (hash >> 31);
}
