/* Conversions between JSON texts and the types of C, and settings with a type. */
#include "internal.h"

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool ev_json_to_int(ev_bytes json, int64_t *to) {
    size_t at = json.len > 0 && json.data[0] == '-';
    bool negative = at == 1;
    if (!ev_is_json(json)) return false;
    uint64_t number = 0, most = (uint64_t)INT64_MAX + negative;
    for (; at < json.len; at++) {
        unsigned digit = (unsigned)(json.data[at] - '0');
        if (!is_digit(json.data[at]) || number > (most - digit) / 10) return false;
        number = number * 10 + digit;
    }
    *to = (int64_t)(negative ? 0 - number : number);
    return true;
}

/* Returns 10 to the power of an exponent from 0 to 300. */
static double power(int exponent) {
    double result = 1, square = 10;
    for (; exponent > 0; exponent >>= 1, square *= square)
        if (exponent & 1) result *= square;
    return result;
}

bool ev_json_to_double(ev_bytes json, double *to) {
    if (!ev_is_json(json) || !(json.data[0] == '-' || is_digit(json.data[0]))) return false;
    bool negative = json.data[0] == '-', fraction = false;
    uint64_t digits = 0;
    int exponent = 0;
    size_t at = negative;
    for (; at < json.len && (is_digit(json.data[at]) || json.data[at] == '.'); at++) {
        if (json.data[at] == '.') {
            fraction = true;
        } else if (digits < UINT64_MAX / 10 - 1) {
            digits = digits * 10 + (uint64_t)(json.data[at] - '0');
            exponent -= fraction;
        } else {
            exponent += !fraction;
        }
    }
    if (at < json.len) {
        bool down = json.data[++at] == '-';
        int given = 0;
        for (at += json.data[at] == '-' || json.data[at] == '+'; at < json.len; at++)
            if (given < 100000) given = given * 10 + (json.data[at] - '0');
        exponent += down ? -given : given;
    }
    double number = (double)digits;
    /* In several steps, since 10 to the power of -320 is less than the least number of full precision. */
    while (exponent != 0 && number > 0 && !__builtin_isinf(number)) {
        int step = exponent < -300 ? -300 : exponent > 300 ? 300 : exponent;
        number = step < 0 ? number / power(-step) : number * power(step);
        exponent -= step;
    }
    if (__builtin_isinf(number)) return false;
    *to = negative ? -number : number;
    return true;
}

bool ev_json_to_bool(ev_bytes json, bool *to) {
    bool is_true = ev_is(json, "true");
    if (is_true || ev_is(json, "false")) *to = is_true;
    return is_true || ev_is(json, "false");
}

/* Returns the number of four hexadecimal digits. */
static uint32_t code_unit(const char *at) {
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        unit = unit * 16 + (uint32_t)(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return unit;
}

/* Writes a code point in UTF-8 and returns the number of bytes. */
static size_t put_utf8(char *to, uint32_t point) {
    if (point < 0x80) return to[0] = (char)point, 1;
    if (point < 0x800) return to[0] = (char)(0xc0 | point >> 6), to[1] = (char)(0x80 | (point & 63)), 2;
    size_t len = point < 0x10000 ? 3 : 4;
    to[0] = (char)((len == 3 ? 0xe0 : 0xf0) | point >> 6 * (len - 1));
    for (size_t i = 1; i < len; i++) to[i] = (char)(0x80 | (point >> 6 * (len - 1 - i) & 63));
    return len;
}

ev_bytes ev_json_to_text(ev_bytes json) {
    if (!ev_is_json(json) || json.data[0] != '"') return EV_NULL;
    char *text = ev_alloc(json.len);
    size_t len = 0;
    for (size_t at = 1; at < json.len - 1; at++) {
        if (json.data[at] != '\\') {
            text[len++] = json.data[at];
            continue;
        }
        char escape = json.data[++at];
        if (escape != 'u') {
            static const char names[] = "bfnrt", chars[] = "\b\f\n\r\t";
            for (size_t i = 0; i < 5; i++)
                if (escape == names[i]) escape = chars[i];
            text[len++] = escape;
            continue;
        }
        uint32_t point = code_unit(json.data + at + 1);
        at += 4;
        bool is_high = point >= 0xd800 && point < 0xdc00;
        if (is_high && at + 6 < json.len - 1 && json.data[at + 1] == '\\' && json.data[at + 2] == 'u') {
            uint32_t low = code_unit(json.data + at + 3);
            if (low >= 0xdc00 && low < 0xe000) point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00), at += 6;
        }
        /* UTF-8 has no lone surrogates. */
        if (point >= 0xd800 && point < 0xe000) point = 0xfffd;
        len += put_utf8(text + len, point);
    }
    return (ev_bytes){text, len};
}

ev_bytes ev_text_to_json(ev_bytes text) {
    char *json = ev_alloc(text.len * 6 + 2);
    size_t len = 0;
    json[len++] = '"';
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x20) {
            if (c == '"' || c == '\\') json[len++] = '\\';
            json[len++] = (char)c;
            continue;
        }
        __builtin_memcpy(json + len, "\\u00", 4);
        json[len + 4] = (char)('0' + c / 16);
        json[len + 5] = "0123456789abcdef"[c % 16];
        len += 6;
    }
    json[len++] = '"';
    return (ev_bytes){json, len};
}

static _Noreturn void refuse(const char *key, ev_bytes setting, const char *expected) {
    ev_panic("the setting `%s` is %.*s; it must be %s", key, EV_ARG(setting), expected);
}

bool ev_config_bool(const char *key, bool otherwise) {
    ev_bytes setting = ev_config(ev_text(key));
    if (setting.data != NULL && !ev_json_to_bool(setting, &otherwise)) refuse(key, setting, "true or false");
    return otherwise;
}

int64_t ev_config_int(const char *key, int64_t otherwise) {
    ev_bytes setting = ev_config(ev_text(key));
    if (setting.data != NULL && !ev_json_to_int(setting, &otherwise)) refuse(key, setting, "an integer");
    return otherwise;
}

double ev_config_double(const char *key, double otherwise) {
    ev_bytes setting = ev_config(ev_text(key));
    if (setting.data != NULL && !ev_json_to_double(setting, &otherwise)) refuse(key, setting, "a number");
    return otherwise;
}
