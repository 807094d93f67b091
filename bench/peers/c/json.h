/* JSON (RFC 8259): where a value ends, strings to be written; and UTF-8. */
#ifndef JSON_H
#define JSON_H

#include "wire.h"

enum { DEEPEST = 500 };

static const uint8_t *blanks(const uint8_t *p, const uint8_t *e) {
    while (p < e && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) p++;
    return p;
}

static const uint8_t *digits(const uint8_t *p, const uint8_t *e) {
    const uint8_t *first = p;
    while (p < e && *p >= '0' && *p <= '9') p++;
    return p > first ? p : NULL;
}

static const uint8_t *number_end(const uint8_t *p, const uint8_t *e) {
    if (p < e && *p == '-') p++;
    if (p < e && *p == '0')
        p++;
    else if (!(p = digits(p, e)))
        return NULL;
    if (p < e && *p == '.' && !(p = digits(p + 1, e))) return NULL;
    if (p < e && (*p | 0x20) == 'e') {
        p++;
        if (p < e && (*p == '+' || *p == '-')) p++;
        p = digits(p, e);
    }
    return p;
}

static const uint8_t *string_end(const uint8_t *p, const uint8_t *e) {
    for (p++; p < e && *p >= 0x20; p++) {
        if (*p == '"') return p + 1;
        if (*p != '\\') continue;
        if (++p == e || !strchr("\"\\/bfnrtu", *p) || *p == 0) return NULL;
        for (int i = 0; *p == 'u' && i < 4; i++)
            if (p + i + 1 >= e || !strchr("0123456789abcdefABCDEF", p[i + 1]) || p[i + 1] == 0) return NULL;
    }
    return NULL;
}

/* value_end is the end of the value at p, NULL where there is none. */
static const uint8_t *value_end(const uint8_t *p, const uint8_t *e, int depth) {
    static const struct text words[] = {{(const uint8_t *)"true", 4}, {(const uint8_t *)"false", 5}, {(const uint8_t *)"null", 4}};
    if (p >= e) return NULL;
    if (*p == '"') return string_end(p, e);
    if (*p != '{' && *p != '[') {
        for (int i = 0; i < 3; i++)
            if ((size_t)(e - p) >= words[i].len && memcmp(p, words[i].at, words[i].len) == 0) return p + words[i].len;
        return number_end(p, e);
    }
    uint8_t open = *p, close = open + 2;
    p = blanks(p + 1, e);
    if (depth == DEEPEST || p == e) return NULL;
    if (*p == close) return p + 1;
    for (;;) {
        if (open == '{') {
            if (p == e || *p != '"' || !(p = string_end(p, e))) return NULL;
            p = blanks(p, e);
            if (p == e || *p != ':') return NULL;
            p = blanks(p + 1, e);
        }
        if (!(p = value_end(p, e, depth + 1))) return NULL;
        p = blanks(p, e);
        if (p == e || (*p != ',' && *p != close)) return NULL;
        if (*p++ == close) return p;
        p = blanks(p, e);
    }
}

static bool is_json(struct text t) {
    const uint8_t *e = t.at + t.len, *p = value_end(blanks(t.at, e), e, 0);
    return p && blanks(p, e) == e;
}

/* next is the next member of an object or element of an array; p stands behind its
 * bracket at first, and behind what was found then. The value is known to be JSON. */
static bool next(const uint8_t **p, const uint8_t *e, struct text *name, struct text *value) {
    const uint8_t *q = blanks(*p, e);
    if (*q == ',') q = blanks(q + 1, e);
    if (*q == '}' || *q == ']') return false;
    if (name) {
        const uint8_t *end = string_end(q, e);
        *name = (struct text){q + 1, (size_t)(end - q - 2)};
        q = blanks(blanks(end, e) + 1, e);
    }
    *p = value_end(q, e, 0);
    *value = (struct text){q, (size_t)(*p - q)};
    return true;
}

static void put_quoted(struct bytes *b, struct text t) {
    PUT(b, "\"");
    for (size_t i = 0; i < t.len; i++) {
        if (t.at[i] == '"' || t.at[i] == '\\') PUT(b, "\\");
        if (t.at[i] < 0x20)
            sprintf((char *)extend(b, 7), "\\u%04x", t.at[i]), b->len--;
        else
            put(b, t.at + i, 1);
    }
    PUT(b, "\"");
}

static bool is_utf8(struct text t) {
    for (size_t i = 0; i < t.len;) {
        uint8_t c = t.at[i++];
        if (c < 0x80) continue;
        int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
        uint32_t v = c & (0x3fu >> more);
        if (c < 0xc2 || c > 0xf4 || t.len - i < (size_t)more) return false;
        for (int n = 0; n < more; n++, i++) {
            if ((t.at[i] & 0xc0) != 0x80) return false;
            v = v << 6 | (t.at[i] & 0x3fu);
        }
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        if (v < least[more] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000)) return false;
    }
    return true;
}

#endif
