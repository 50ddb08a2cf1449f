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
    CHECK(count == 5 && ev_is(all[0].key, "alert"));
}

static void seeds_follow_from_the_record(void) {
    ev_evento e[4];
    CHECK(ev_read_all(&docs_example, e) == 2);
    /* The number that the SDK for Rust gives, too. */
    CHECK(ev_seed(&e[0]) == 0x7e00bef78929719bu && ev_seed(&e[1]) != ev_seed(&e[0]));
    CHECK(ev_read_all(&whole, e) == 4);
    /* These two share an offset. */
    CHECK(e[0].offset == e[1].offset && ev_seed(&e[0]) != ev_seed(&e[1]));
}

/* Returns the output of a process that does this, which has to end with a trap. */
static const char *panic_of(void (*act)(void)) {
    static char output[256];
    fflush(stdout);
    int ends[2], status;
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        dup2(ends[1], 1);
        close(2);
        act();
        _exit(0);
    }
    close(ends[1]);
    memset(output, 0, sizeof output);
    CHECK(read(ends[0], output, sizeof output - 1) > 0);
    close(ends[0]);
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) + WEXITSTATUS(status) > 0);
    return output;
}

static bool at(const char *json, const char *pointer, const char *expected) {
    ev_bytes found = ev_at(ev_text(json), pointer);
    return expected == NULL ? found.data == NULL : ev_is(found, expected);
}

static void a_pointer_finds_the_text_of_a_value(void) {
    const char *json = "{\"a\": {\"b\" : [1.10, -0, {\"c\":1e400}]}, \"\":7, \"x/y\":\"\\u00e1\", \"m~n\":null, \"k\":1, \"k\" : 2}";
    CHECK(at(json, "", json) && at(json, "/a/b", "[1.10, -0, {\"c\":1e400}]") && at(json, "/a/b/0", "1.10"));
    CHECK(at(json, "/a/b/1", "-0") && at(json, "/a/b/2/c", "1e400") && at(json, "/", "7"));
    CHECK(at(json, "/x~1y", "\"\\u00e1\"") && at(json, "/m~0n", "null") && at(json, "/k", "2"));
    CHECK(at("{\"\\u0061\\\"\":1}", "/a\"", "1") && at(" [ ] ", "/0", NULL) && at("{}", "/", NULL));
    const char *missing[] = {"/d", "/a/2", "/a/b/01", "/a/b/+1", "/a/b/-", "/a/b/x", "/k/0", "/a/b/9", "/a/b/0/0"};
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) CHECK(at(json, missing[i], NULL));
    const char *broken[] = {"", "{", "{\"a\"", "{\"a\":1,}", "[1,]", "01", "1.", "1e", "\"\\x\"", "\"\n\"", "nul", "[1 2]", "{1:2}", "tru", "\"\\u12\""};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) CHECK(!ev_is_json(ev_text(broken[i])));
    static char deep[2000];
    memset(deep, '[', sizeof deep - 1);
    CHECK(!ev_is_json(ev_text(deep)) && ev_at(EV_NULL, "/a").data == NULL);
}

static bool set(const char *json, const char *pointer, const char *value, const char *expected) {
    ev_bytes made = ev_set_at(ev_text(json), pointer, ev_text(value));
    return expected == NULL ? made.data == NULL : ev_is(made, expected);
}

static void what_is_set_leaves_the_rest_byte_for_byte(void) {
    const char *json = " {\"a\": {\"b\" : [1.10, {\"c\":1e400}]},\"k\":1, \"k\" : 2 } ";
    CHECK(set(json, "/a/b/1/c", "-0", " {\"a\": {\"b\" : [1.10, {\"c\":-0}]},\"k\":1, \"k\" : 2 } "));
    CHECK(set(json, "/a", "null", " {\"a\": null,\"k\":1, \"k\" : 2 } "));
    CHECK(set(json, "/k", "3", " {\"a\": {\"b\" : [1.10, {\"c\":1e400}]},\"k\":1, \"k\" : 3 } "));
    CHECK(set(json, "/\xc3\xb1\"", "1e999", " {\"a\": {\"b\" : [1.10, {\"c\":1e400}]},\"k\":1, \"k\" : 2,\"\xc3\xb1\\\"\":1e999 } "));
    CHECK(set(json, "/a/b/-", "2", " {\"a\": {\"b\" : [1.10, {\"c\":1e400},2]},\"k\":1, \"k\" : 2 } "));
    CHECK(set(json, "/a/b/2", "2", " {\"a\": {\"b\" : [1.10, {\"c\":1e400},2]},\"k\":1, \"k\" : 2 } "));
    CHECK(set(json, "", "true", "true") && set("{ }", "/a", "1", "{\"a\":1 }") && set("{\"a\":[ ]}", "/a/0", "1", "{\"a\":[1 ]}"));
    CHECK(set(json, "/c/d", "1", NULL) && set(json, "/a/b/3", "1", NULL) && set(json, "/k/x", "1", NULL));
    CHECK(set(json, "/a", "NaN", NULL) && set(json, "/a", "1,2", NULL) && set(json, "/a", "", NULL));
}

static void converts_values(void) {
    int64_t number = 5;
    CHECK(ev_json_to_int(ev_text("-9223372036854775808"), &number) && number == INT64_MIN);
    CHECK(ev_json_to_int(ev_text("9223372036854775807"), &number) && number == INT64_MAX);
    CHECK(!ev_json_to_int(ev_text("9223372036854775808"), &number) && !ev_json_to_int(ev_text("1.0"), &number));
    CHECK(!ev_json_to_int(ev_text("\"1\""), &number) && !ev_json_to_int(EV_NULL, &number) && number == INT64_MAX);
    double real = 0;
    CHECK(ev_json_to_double(ev_text("5.25"), &real) && real == 5.25 && ev_json_to_double(ev_text("-1e22"), &real) && real == -1e22);
    CHECK(ev_json_to_double(ev_text("1.5e-5"), &real) && real == 1.5e-5 && ev_json_to_double(ev_text("1e-320"), &real) && real > 0);
    CHECK(ev_json_to_double(ev_text("0.1"), &real) && real == 0.1 && ev_json_to_double(ev_text("1e-999"), &real) && real == 0);
    CHECK(ev_json_to_double(ev_text("123456789012345678901234567890"), &real) && real > 1.234567e29 && real < 1.234568e29);
    CHECK(ev_json_to_double(ev_text("0e99999999999"), &real) && real == 0 && !ev_json_to_double(ev_text("1e400"), &real) && real == 0);
    bool truth = true;
    CHECK(ev_json_to_bool(ev_text("false"), &truth) && !truth && !ev_json_to_bool(ev_text("0"), &truth) && !truth);
    CHECK(ev_is(ev_json_to_text(ev_text("\"a\\\"\\n\\u00f1\\ud83d\\ude00\\ud800\"")), "a\"\n\xc3\xb1\xf0\x9f\x98\x80\xef\xbf\xbd"));
    CHECK(ev_json_to_text(ev_text("1")).data == NULL && ev_is(ev_json_to_text(ev_text("\"\"")), ""));
    CHECK(ev_is(ev_text_to_json(ev_text("a\"\\\n\xc3\xb1")), "\"a\\\"\\\\\\u000a\xc3\xb1\""));
}

static void read_bool(void) { ev_config_bool("alert", true); }
static void read_int(void) { ev_config_int("least", 0); }
static void read_double(void) { ev_config_double("none", 0); }

static void settings_have_types(void) {
    CHECK(ev_config_double("least", 0) == 4.5 && !ev_config_bool("strict", true) && ev_config_int("count", 0) == 7);
    CHECK(ev_config_bool("other", true) && ev_config_int("other", -1) == -1 && ev_config_double("other", 0.5) == 0.5);
    CHECK(strstr(panic_of(read_bool), "the setting `alert` is red; it must be true or false"));
    CHECK(strstr(panic_of(read_int), "the setting `least` is 4.5; it must be an integer"));
    CHECK(strstr(panic_of(read_double), "the setting `none` is ; it must be a number"));
}

static void formats_as_printf_does(void) {
    CHECK(ev_is(ev_format("%s|%.*s|%c|%%", "a", 2, "bcd", 'e'), "a|bc|e|%"));
    CHECK(ev_is(ev_format("%d %5d %05d %u", -7, -7, -7, 4000000000u), "-7    -7 -0007 4000000000"));
    CHECK(ev_is(ev_format("%lld %llu", -9223372036854775807LL - 1, 18446744073709551615ULL),
                "-9223372036854775808 18446744073709551615"));
    CHECK(ev_is(ev_format("%x %04x", 255u, 255u), "ff 00ff") && ev_is(ev_format("%s", ""), ""));
    CHECK(!ev_equal(EV_NULL, EV_NULL) && !ev_is(EV_NULL, ""));
}

static void panic(void) { ev_panic("no %s", "luck"); }

static void a_panic_says_where_and_ends_the_call(void) {
    const char *output = panic_of(panic);
    CHECK(strstr(output, "4 - panicked at ") == output && strstr(output, "test.c:") && strstr(output, ": no luck\n"));
}

static ev_record crooked;
static void emit_crooked(void) { ev_emit(ev_text("t"), &(ev_evento){0}, &crooked); }
static void emit_nowhere(void) { ev_emit(EV_NULL, &(ev_evento){0}, &crooked); }
static void replace_nothing(void) { ev_replace(NULL, 2); }

static void a_mistake_is_refused_and_named(void) {
    crooked = ev_record_of(ev_text("{}"));
    CHECK(crooked.timestamp == EV_NO_TIMESTAMP && crooked.key.data == NULL && crooked.header_count == 0);
    CHECK(strstr(panic_of(emit_nowhere), "the topic to emit to is null"));
    CHECK(strstr(panic_of(replace_nothing), "ev_replace got 2 records, but their list is NULL"));
    crooked.value = (ev_bytes){NULL, 3};
    CHECK(strstr(panic_of(emit_crooked), "the value of a record has a length but no bytes"));
    crooked = ev_record_of(EV_NULL);
    crooked.header_count = 1;
    CHECK(strstr(panic_of(emit_crooked), "a record has 1 headers, but its list is NULL"));
    crooked.headers = &(ev_header){EV_NULL, EV_NULL};
    CHECK(strstr(panic_of(emit_crooked), "the name of header 0 of a record is null"));
    crooked = ev_record_of(EV_NULL);
    crooked.timestamp = -2;
    CHECK(strstr(panic_of(emit_crooked), "the timestamp of a record is -2"));
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
    RUN(seeds_follow_from_the_record);
    RUN(a_pointer_finds_the_text_of_a_value);
    RUN(what_is_set_leaves_the_rest_byte_for_byte);
    RUN(converts_values);
    RUN(settings_have_types);
    RUN(formats_as_printf_does);
    RUN(a_panic_says_where_and_ends_the_call);
    RUN(a_mistake_is_refused_and_named);
    ev_memory_forget();
}
