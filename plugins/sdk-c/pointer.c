/* JSON pointers: read and set one value of a JSON text and leave the rest byte for byte. */
#include "internal.h"

/* The end of what is not JSON. */
#define NOT_JSON SIZE_MAX
/* Deeper values are taken for what is not JSON, because each level takes stack. The daemon admits fewer levels. */
#define MAX_DEPTH 512

static size_t skip_space(ev_bytes json, size_t at) {
    while (at < json.len && (json.data[at] == ' ' || json.data[at] == '\t' || json.data[at] == '\n' || json.data[at] == '\r')) at++;
    return at;
}

static bool has(ev_bytes json, size_t at, char wanted) { return at < json.len && json.data[at] == wanted; }

static bool is_digit(ev_bytes json, size_t at) { return at < json.len && json.data[at] >= '0' && json.data[at] <= '9'; }

static int hex_digit(ev_bytes json, size_t at) {
    if (at >= json.len) return -1;
    char c = json.data[at];
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t end_of_string(ev_bytes json, size_t at) {
    for (at++; at < json.len; at++) {
        unsigned char c = (unsigned char)json.data[at];
        if (c == '"') return at + 1;
        if (c < 0x20) return NOT_JSON;
        if (c != '\\') continue;
        at++;
        if (has(json, at, 'u')) {
            for (int i = 0; i < 4; i++)
                if (hex_digit(json, ++at) < 0) return NOT_JSON;
            continue;
        }
        bool is_escape = false;
        for (const char *escape = "\"\\/bfnrt"; *escape != 0; escape++) is_escape |= has(json, at, *escape);
        if (!is_escape) return NOT_JSON;
    }
    return NOT_JSON;
}

static size_t end_of_number(ev_bytes json, size_t at) {
    if (has(json, at, '-')) at++;
    if (!is_digit(json, at)) return NOT_JSON;
    if (has(json, at, '0')) at++;
    else while (is_digit(json, at)) at++;
    if (has(json, at, '.')) {
        if (!is_digit(json, ++at)) return NOT_JSON;
        while (is_digit(json, at)) at++;
    }
    if (has(json, at, 'e') || has(json, at, 'E')) {
        at++;
        if (has(json, at, '+') || has(json, at, '-')) at++;
        if (!is_digit(json, at)) return NOT_JSON;
        while (is_digit(json, at)) at++;
    }
    return at;
}

static size_t end_of_literal(ev_bytes json, size_t at) {
    static const char *const literals[] = {"true", "false", "null"};
    for (size_t i = 0; i < 3; i++) {
        ev_bytes literal = ev_text(literals[i]);
        if (json.len - at >= literal.len && ev_equal((ev_bytes){json.data + at, literal.len}, literal)) return at + literal.len;
    }
    return NOT_JSON;
}

static size_t end_of_value(ev_bytes json, size_t at, int depth);

/* A member or element of an object or array. */
typedef struct {
    ev_bytes name; /* as it is in the JSON, with quotes; null in an array */
    size_t start, end;
} child;

/* Reads the child at this index, and the comma or closing bracket after it. Returns the index of the next one, the same index as
 * before if there is none, or NOT_JSON. */
static size_t next_child(ev_bytes json, size_t at, bool is_object, int depth, child *out) {
    char closing = is_object ? '}' : ']';
    if (has(json, at, closing)) return at;
    out->name = EV_NULL;
    out->start = at;
    if (is_object) {
        if (!has(json, at, '"')) return NOT_JSON;
        size_t end = end_of_string(json, at);
        if (end == NOT_JSON) return NOT_JSON;
        out->name = (ev_bytes){json.data + at, end - at};
        at = skip_space(json, end);
        if (!has(json, at, ':')) return NOT_JSON;
        out->start = skip_space(json, at + 1);
    }
    out->end = end_of_value(json, out->start, depth);
    if (out->end == NOT_JSON) return NOT_JSON;
    at = skip_space(json, out->end);
    if (has(json, at, closing)) return at;
    if (!has(json, at, ',')) return NOT_JSON;
    at = skip_space(json, at + 1);
    return has(json, at, closing) ? NOT_JSON : at;
}

static size_t end_of_value(ev_bytes json, size_t at, int depth) {
    if (at >= json.len || depth > MAX_DEPTH) return NOT_JSON;
    char c = json.data[at];
    if (c == '"') return end_of_string(json, at);
    if (c != '{' && c != '[') return c == '-' || is_digit(json, at) ? end_of_number(json, at) : end_of_literal(json, at);
    char closing = c == '{' ? '}' : ']';
    child ignored;
    for (at = skip_space(json, at + 1); at != NOT_JSON && !has(json, at, closing);)
        at = next_child(json, at, c == '{', depth + 1, &ignored);
    return at == NOT_JSON ? NOT_JSON : at + 1;
}

bool ev_is_json(ev_bytes text) {
    size_t end = text.data == NULL ? NOT_JSON : end_of_value(text, skip_space(text, 0), 0);
    return end != NOT_JSON && skip_space(text, end) == text.len;
}

/* Takes the first name off a pointer, which begins with a slash, with ~1 and ~0 resolved. */
static ev_bytes take_name(const char **pointer) {
    const char *from = *pointer + 1;
    size_t len = 0;
    while (from[len] != 0 && from[len] != '/') len++;
    *pointer = from + len;
    char *name = ev_alloc(len + 1);
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        bool is_escape = from[i] == '~' && i + 1 < len && (from[i + 1] == '0' || from[i + 1] == '1');
        name[out++] = !is_escape ? from[i] : from[++i] == '1' ? '/' : '~';
    }
    return (ev_bytes){name, out};
}

/* Returns an array index without leading zeros, or -1. */
static int64_t index_of(ev_bytes name) {
    if (name.len == 0 || name.len > 10 || (name.data[0] == '0' && name.len > 1)) return -1;
    int64_t index = 0;
    for (size_t i = 0; i < name.len; i++) {
        if (!is_digit(name, i)) return -1;
        index = index * 10 + (name.data[i] - '0');
    }
    return index;
}

/* Finds a child of the value that begins at `at`, the last one if its name repeats, and the number of children. */
static bool find_child(ev_bytes json, size_t at, ev_bytes name, child *found, int64_t *count) {
    bool is_object = has(json, at, '{'), is_found = false;
    int64_t index = index_of(name);
    *count = 0;
    if (!is_object && !has(json, at, '[')) return false;
    char closing = is_object ? '}' : ']';
    for (at = skip_space(json, at + 1); !has(json, at, closing); ++*count) {
        child one;
        at = next_child(json, at, is_object, 0, &one);
        if (at == NOT_JSON) return false;
        bool is_this = is_object ? ev_equal(ev_json_to_text(one.name), name) : *count == index;
        if (is_this) *found = one, is_found = true;
    }
    return is_found;
}

/* Finds the value at a pointer of `depth` names less than it has. */
static bool find(ev_bytes json, const char *pointer, const char *end, child *found) {
    found->start = skip_space(json, 0);
    found->end = end_of_value(json, found->start, 0);
    if (found->end == NOT_JSON) return false;
    while (pointer < end) {
        int64_t count;
        if (!find_child(json, found->start, take_name(&pointer), found, &count)) return false;
    }
    return true;
}

static const char *end_of_pointer(const char *pointer) {
    if (pointer[0] != 0 && pointer[0] != '/')
        ev_panic("%s is not a JSON pointer: it must begin with a slash, as in /mag", pointer);
    while (*pointer != 0) pointer++;
    return pointer;
}

ev_bytes ev_at(ev_bytes json, const char *pointer) {
    child found;
    if (json.data == NULL || !find(json, pointer, end_of_pointer(pointer), &found)) return EV_NULL;
    return (ev_bytes){json.data + found.start, found.end - found.start};
}

/* Returns the JSON with the bytes from `start` to `end` replaced. */
static ev_bytes splice(ev_bytes json, size_t start, size_t end, ev_bytes with) {
    return ev_format("%.*s%.*s%.*s", (int)start, json.data, EV_ARG(with), (int)(json.len - end), json.data + end);
}

ev_bytes ev_set_at(ev_bytes json, const char *pointer, ev_bytes value) {
    const char *end = end_of_pointer(pointer), *last = end;
    child found;
    if (json.data == NULL || !ev_is_json(value)) return EV_NULL;
    if (pointer == end) return value;
    if (find(json, pointer, end, &found)) return splice(json, found.start, found.end, value);
    do last--;
    while (*last != '/');
    if (!find(json, pointer, last, &found)) return EV_NULL;
    bool is_object = has(json, found.start, '{');
    child ignored;
    int64_t count;
    ev_bytes name = take_name(&last);
    find_child(json, found.start, name, &ignored, &count);
    if (!is_object && (!has(json, found.start, '[') || !(ev_is(name, "-") || index_of(name) == count))) return EV_NULL;
    /* Before the closing brace or bracket, and the space in front of it. */
    size_t at = found.end - 1;
    while (skip_space(json, at - 1) > at - 1) at--;
    const char *comma = count > 0 ? "," : "";
    if (!is_object) return splice(json, at, at, ev_format("%s%.*s", comma, EV_ARG(value)));
    return splice(json, at, at, ev_format("%s%.*s:%.*s", comma, EV_ARG(ev_text_to_json(name)), EV_ARG(value)));
}
