/* Tests of the SDK in a native build: `cargo xtask test sdks::c`. */
#include "world.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The two records of the example in docs/handlers.md, with the same numbers. */
static const ev_batch docs_example = {
    .topic = CHARS("eventos"),
    .partition = 3,
    .offsets = COLUMN(int64_t, 41, 42),
    .ids = {CHARS("ab"), COLUMN(uint32_t, 1, 2)},
    .tipos = {CHARS("sismosismo"), COLUMN(uint32_t, 5, 10)},
    .records =
        {
            .bytes = CHARS("k{..1}hx{..2}"),
            .key_ends = COLUMN(uint32_t, 1, 8),
            .value_ends = COLUMN(uint32_t, 6, 13),
            .flags = COLUMN(uint8_t, 0, EV_NULL_KEY),
            .timestamps = COLUMN(int64_t, 1700000000000, -1),
            .header_ends = COLUMN(uint32_t, 1, 1),
            .header_name_ends = COLUMN(uint32_t, 7),
            .header_value_ends = COLUMN(uint32_t, 8),
            .header_nulls = COLUMN(uint8_t, 0),
        },
};

/* Each tipo names the outcome. The third record is a tombstone, which has no tipo. */
static const ev_batch whole = {
    .topic = CHARS("t"),
    .offsets = COLUMN(int64_t, 7, 7, 9, 10),
    .ids = {CHARS("-5\xc3\xb1"), COLUMN(uint32_t, 2, 4, 4, 4)},
    .tipos = {CHARS("replacereject" "drop"), COLUMN(uint32_t, 7, 13, 13, 17)},
    .records =
        {
            /* An integer id, and headers: a="1", a=null, ""="". Then an empty key; a tombstone; a null key. */
            .bytes = CHARS("kv" "a1a" "w" "gone" "\xc3\xb1=x" "z"),
            .key_ends = COLUMN(uint32_t, 1, 5, 10, 14),
            .value_ends = COLUMN(uint32_t, 2, 6, 10, 15),
            .flags = COLUMN(uint8_t, EV_INTEGER_ID, EV_LOG_APPEND_TIME, EV_NULL_VALUE, EV_NULL_KEY),
            .timestamps = COLUMN(int64_t, 0, 5, -1, -1),
            .header_ends = COLUMN(uint32_t, 3, 3, 4, 4),
            .header_name_ends = COLUMN(uint32_t, 3, 5, 5, 12),
            .header_value_ends = COLUMN(uint32_t, 4, 5, 5, 14),
            .header_nulls = COLUMN(uint8_t, 0, 1, 0, 0),
        },
};

static void reads_the_example_of_the_docs(void) {
    ev_evento e[2];
    CHECK(ev_read_all(&docs_example, e) == 2);
    CHECK(ev_is(e[0].id, "a") && ev_is(e[0].tipo, "sismo") && ev_is(e[0].topic, "eventos"));
    CHECK(ev_is(e[0].record.key, "k") && ev_is(e[0].record.value, "{..1}"));
    CHECK(e[0].record.header_count == 1 && ev_is(ev_header_named(&e[0], "h")->value, "x"));
    CHECK(e[0].record.timestamp == 1700000000000 && e[0].offset == 41 && e[0].partition == 3);
    CHECK(ev_is(e[1].id, "b") && e[1].record.key.data == NULL && ev_is(e[1].record.value, "{..2}"));
    CHECK(e[1].record.header_count == 0 && e[1].record.timestamp == EV_NO_TIMESTAMP && e[1].index == 1);
}

static void tells_nulls_empty_and_flags_apart(void) {
    ev_evento e[4];
    CHECK(ev_read_all(&whole, e) == 4);
    CHECK(e[0].id_is_integer && !e[0].log_append_time && !e[0].is_tombstone && ev_is(e[0].id, "-5"));
    CHECK(e[0].record.header_count == 3);
    CHECK(ev_is(e[0].record.headers[0].value, "1") && e[0].record.headers[1].value.data == NULL);
    CHECK(ev_is(e[0].record.headers[2].name, "") && ev_is(e[0].record.headers[2].value, ""));
    CHECK(ev_header_named(&e[0], "a") == &e[0].record.headers[1] && ev_header_named(&e[0], "b") == NULL);
    CHECK(!e[1].id_is_integer && e[1].log_append_time && ev_is(e[1].id, "\xc3\xb1"));
    CHECK(ev_is(e[1].record.key, "") && ev_is(e[1].record.value, "w"));
    CHECK(e[2].is_tombstone && e[2].record.value.data == NULL && ev_is(e[2].record.key, "gone"));
    CHECK(ev_is(e[2].id, "") && ev_is(e[2].tipo, "") && ev_is(ev_header_named(&e[2], "\xc3\xb1")->value, "=x"));
    CHECK(e[3].record.key.data == NULL && ev_is(e[3].record.value, "z"));
}

static void writes_records_as_the_docs_say(void) {
    ev_evento e[2];
    ev_records out = {0};
    ev_read_all(&docs_example, e);
    for (int i = 0; i < 2; i++) ev_push_record(&out, &e[i].record);
    CHECK(out.bytes.len == 13 && memcmp(out.bytes.at, "k{..1}hx{..2}", 13) == 0);
    CHECK(IS(out.key_ends, uint32_t, 1, 8) && IS(out.value_ends, uint32_t, 6, 13));
    CHECK(IS(out.flags, uint8_t, 0, EV_NULL_KEY) && IS(out.timestamps, int64_t, 1700000000000, -1));
    CHECK(IS(out.header_ends, uint32_t, 1, 1) && IS(out.header_name_ends, uint32_t, 7));
    CHECK(IS(out.header_value_ends, uint32_t, 8) && IS(out.header_nulls, uint8_t, 0));
}

static void writes_texts_of_any_length(void) {
    static char long_text[5000];
    memset(long_text, 'x', sizeof long_text);
    size_t lengths[] = {0, 1, 62, 1, 0, 64, 1000, 5000, 3}, sum = 0;
    ev_texts out = {0};
    for (size_t i = 0; i < 9; i++) {
        ev_push_text(&out, (ev_bytes){long_text, lengths[i]});
        sum += lengths[i];
        CHECK(out.ends.len == i + 1 && out.ends.at[i] == sum && out.bytes.len == sum);
    }
    for (size_t i = 0; i < sum; i++) CHECK(out.bytes.at[i] == 'x');
}

static ev_bytes refusal = EV_NULL;

ev_bytes init(void) { return refusal; }

ev_outcome handle(const ev_evento *evento) {
    ev_store(evento);
    ev_emit(evento->is_tombstone ? ev_text("gone") : ev_text("all"), evento, &evento->record);
    ev_log(EV_WARN, "saw %.*s", EV_ARG(evento->id));
    if (ev_is(evento->tipo, "drop")) return ev_drop();
    if (ev_is(evento->tipo, "reject")) return ev_reject(ev_format("%.*s is wrong", EV_ARG(evento->id)));
    if (ev_is(evento->tipo, "replace")) {
        ev_header header = {ev_text("h"), EV_NULL};
        ev_record parts[] = {evento->record, {.key = ev_text("k"), .headers = &header, .header_count = 1}};
        return ev_replace(parts, 2);
    }
    return evento->is_tombstone ? ev_replace(NULL, 0) : ev_pass();
}

static void answers_in_columns(void) {
    world_empty();
    ev_outcomes *out = ev_export_handle(&whole);
    CHECK(IS(out->kinds, uint8_t, 2, 4, 2, 1));
    CHECK(IS(out->reasons.ends, uint32_t, 11) && memcmp(out->reasons.bytes.at, "\xc3\xb1 is wrong", 11) == 0);
    CHECK(IS(out->replacement_ends, uint32_t, 2, 2) && IS(out->replacements.header_ends, uint32_t, 3, 4));
    CHECK(IS(out->replacements.flags, uint8_t, 0, EV_NULL_VALUE));
    CHECK(IS(out->replacements.header_nulls, uint8_t, 0, 1, 0, 1));
    ev_after_handle(out);
    CHECK(world.stored_calls == 1 && world.stored_count == 3);
    CHECK(memcmp(world.stored, (uint32_t[]){0, 1, 3}, 12) == 0);
    CHECK(strcmp(world.emitted, "all <- 0 1 3 kva1awz\ngone <- 2 gone\xc3\xb1=x\n") == 0);
    CHECK(strcmp(world.log, "3 0 saw -5\n3 1 saw \xc3\xb1\n3 2 saw \n3 3 saw \n") == 0);

    world_empty();
    out = ev_export_handle(&docs_example);
    CHECK(IS(out->kinds, uint8_t, 0, 0) && out->replacements.flags.len == 0 && out->reasons.ends.len == 0);
    ev_after_handle(out);
    CHECK(world.stored_count == 2 && strcmp(world.emitted, "all <- 0 1 k{..1}hx{..2}\n") == 0);
}

static void starts_or_refuses(void) {
    struct {
        uint8_t is_error;
        ev_bytes error;
    } *started = ev_export_init();
    CHECK(!started->is_error);
    refusal = ev_text("not today");
    started = ev_export_init();
    CHECK(started->is_error && ev_is(started->error, "not today"));
}

static void reads_settings(void) {
    CHECK(ev_is(ev_config(ev_text("alert")), "red") && ev_config(ev_text("alarm")).data == NULL);
    CHECK(ev_is(ev_config(ev_text("none")), ""));
    size_t count;
    const ev_setting *all = ev_config_all(&count);
    CHECK(count == 2 && ev_is(all[0].key, "alert"));
}

static void formats_as_printf_does(void) {
    CHECK(ev_is(ev_format("%s|%.*s|%c|%%", "a", 2, "bcd", 'e'), "a|bc|e|%"));
    CHECK(ev_is(ev_format("%d %5d %05d %u", -7, -7, -7, 4000000000u), "-7    -7 -0007 4000000000"));
    CHECK(ev_is(ev_format("%lld %llu", -9223372036854775807LL - 1, 18446744073709551615ULL),
                "-9223372036854775808 18446744073709551615"));
    CHECK(ev_is(ev_format("%x %04x", 255u, 255u), "ff 00ff") && ev_is(ev_format("%s", ""), ""));
    CHECK(!ev_equal(EV_NULL, EV_NULL) && !ev_is(EV_NULL, ""));
}

static void a_panic_says_where_and_ends_the_call(void) {
    fflush(stdout);
    int ends[2], status;
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        dup2(ends[1], 1);
        close(2);
        ev_panic("no %s", "luck");
    }
    close(ends[1]);
    char output[256] = "";
    CHECK(read(ends[0], output, sizeof output - 1) > 0);
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) + WEXITSTATUS(status) > 0);
    CHECK(strstr(output, "4 - panicked at ") == output && strstr(output, "test.c:") && strstr(output, ": no luck\n"));
}

int main(void) {
#define RUN(test) test(), puts("ok " #test)
    RUN(reads_the_example_of_the_docs);
    RUN(tells_nulls_empty_and_flags_apart);
    RUN(writes_records_as_the_docs_say);
    RUN(writes_texts_of_any_length);
    RUN(answers_in_columns);
    RUN(starts_or_refuses);
    RUN(reads_settings);
    RUN(formats_as_printf_does);
    RUN(a_panic_says_where_and_ends_the_call);
    ev_memory_forget();
}
