/* Formats texts, with the part of printf that a handler needs, and compares bytes. */
#include "internal.h"

typedef struct {
    char *at;
    size_t len;
    size_t capacity;
} text;

static void put(text *to, const char *from, size_t len) {
    if (len == 0) return;
    if (to->len + len > to->capacity) {
        size_t larger = to->capacity * 2 + len;
        to->at = ev_resize(to->at, to->capacity, larger);
        to->capacity = larger;
    }
    __builtin_memcpy(to->at + to->len, from, len);
    to->len += len;
}

static size_t length(const char *text) {
    size_t len = 0;
    while (text[len] != 0) len++;
    return len;
}

static void put_number(text *to, unsigned long long number, bool negative, unsigned base, int width, char fill) {
    char digits[24];
    size_t from = sizeof digits;
    do digits[--from] = "0123456789abcdef"[number % base];
    while ((number /= base) > 0);
    int missing = width - (int)(sizeof digits - from) - negative;
    if (negative && fill == '0') put(to, "-", 1);
    for (; missing > 0; missing--) put(to, &fill, 1);
    if (negative && fill != '0') put(to, "-", 1);
    put(to, digits + from, sizeof digits - from);
}

ev_bytes ev_vformat(const char *format, va_list args) {
    text out = {0};
    for (; *format != 0; format++) {
        if (*format != '%') {
            put(&out, format, 1);
            continue;
        }
        format++;
        char fill = ' ';
        int width = 0, precision = -1;
        bool wide = false;
        if (*format == '0') fill = '0', format++;
        for (; *format >= '0' && *format <= '9'; format++) width = width * 10 + (*format - '0');
        if (format[0] == '.' && format[1] == '*') precision = va_arg(args, int), format += 2;
        /* size_t and long have 32 bits on this target, like int. */
        if (format[0] == 'l' && format[1] == 'l') wide = true, format += 2;
        else if (*format == 'z' || *format == 'l') format++;
        switch (*format) {
        case '%': put(&out, "%", 1); break;
        case 'c': {
            char c = (char)va_arg(args, int);
            put(&out, &c, 1);
            break;
        }
        case 's': {
            const char *from = va_arg(args, const char *);
            put(&out, from, precision >= 0 ? (size_t)precision : length(from));
            break;
        }
        case 'd':
        case 'i': {
            long long number = wide ? va_arg(args, long long) : va_arg(args, int);
            unsigned long long size = number < 0 ? 0 - (unsigned long long)number : (unsigned long long)number;
            put_number(&out, size, number < 0, 10, width, fill);
            break;
        }
        case 'u':
        case 'x': {
            unsigned long long number = wide ? va_arg(args, unsigned long long) : va_arg(args, unsigned);
            put_number(&out, number, false, *format == 'x' ? 16 : 10, width, fill);
            break;
        }
        default: ev_panic("ev_format does not support %%%c", *format);
        }
    }
    return (ev_bytes){out.at == NULL ? "" : out.at, out.len};
}

ev_bytes ev_format(const char *format, ...) {
    va_list args;
    va_start(args, format);
    ev_bytes made = ev_vformat(format, args);
    va_end(args);
    return made;
}

ev_bytes ev_text(const char *text) { return (ev_bytes){text, length(text)}; }

bool ev_is(ev_bytes bytes, const char *text) { return ev_equal(bytes, ev_text(text)); }

bool ev_equal(ev_bytes left, ev_bytes right) {
    if (left.data == NULL || right.data == NULL || left.len != right.len) return false;
    return __builtin_memcmp(left.data, right.data, left.len) == 0;
}

/* Called for __builtin_memcmp, for which WebAssembly has no instruction. */
int memcmp(const void *left, const void *right, size_t len) {
    const unsigned char *l = left, *r = right;
    for (size_t i = 0; i < len; i++)
        if (l[i] != r[i]) return l[i] < r[i] ? -1 : 1;
    return 0;
}

const ev_header *ev_header_named(const ev_evento *evento, const char *name) {
    for (size_t i = evento->record.header_count; i > 0; i--)
        if (ev_is(evento->record.headers[i - 1].name, name)) return &evento->record.headers[i - 1];
    return NULL;
}
