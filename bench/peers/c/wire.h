/* The wire: header fields of HTTP, and RFC 6455's frames and accept key. */
#ifndef WIRE_H
#define WIRE_H

#include <strings.h>

#include "loop.h"
#include "sha1.h"

enum { MOST_HEAD = 16 << 10, LONGEST = 64 << 20, KEY_LEN = 24, ACCEPT_LEN = 28 };

/* text is a part of other bytes. */
struct text {
    const uint8_t *at;
    size_t len;
};

/* field is the value of a head's first field of that name; at is NULL where there is
 * none. end is the head's empty line. */
static struct text field(const uint8_t *head, const uint8_t *end, const char *name) {
    size_t n = strlen(name);
    for (const uint8_t *line = head; (line = memmem(line, (size_t)(end - line), "\r\n", 2)) && (line += 2) < end;) {
        if ((size_t)(end - line) <= n || line[n] != ':' || strncasecmp((const char *)line, name, n)) continue;
        const uint8_t *value = line + n + 1, *stop = memmem(value, (size_t)(end + 2 - value), "\r\n", 2);
        while (value < stop && *value == ' ') value++;
        while (value < stop && stop[-1] == ' ') stop--;
        return (struct text){value, (size_t)(stop - value)};
    }
    return (struct text){NULL, 0};
}

static void append_accept(struct bytes *b, const uint8_t key[KEY_LEN]) {
    uint8_t text[KEY_LEN + 36], digest[20];
    memcpy(text, key, KEY_LEN);
    memcpy(text + KEY_LEN, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    sha1(text, sizeof text, digest);
    base64(digest, sizeof digest, (char *)extend(b, ACCEPT_LEN));
}

/* append_upgrade appends the answer to a handshake. It returns false where the head
 * has no key. */
static bool append_upgrade(struct bytes *b, const uint8_t *head, const uint8_t *end) {
    struct text key = field(head, end, "Sec-WebSocket-Key");
    if (key.len != KEY_LEN) return false;
    PUT(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ");
    append_accept(b, key.at);
    PUT(b, "\r\n\r\n");
    return true;
}

static void append_frame(struct bytes *b, uint8_t first, const uint8_t *payload, size_t n) {
    uint8_t *p;
    if (n < 126) {
        p = extend(b, 2);
        p[1] = (uint8_t)n;
    } else if (n < 1 << 16) {
        p = extend(b, 4);
        p[1] = 126, p[2] = (uint8_t)(n >> 8), p[3] = (uint8_t)n;
    } else {
        p = extend(b, 10);
        p[1] = 127;
        for (int i = 0; i < 8; i++) p[2 + i] = (uint8_t)((uint64_t)n >> (56 - 8 * i));
    }
    p[0] = first;
    put(b, payload, n);
}

static void unmask(uint8_t *p, size_t n, const uint8_t key[4]) {
    uint64_t wide;
    uint8_t twice[8];
    memcpy(twice, key, 4);
    memcpy(twice + 4, key, 4);
    memcpy(&wide, twice, 8);
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        v ^= wide;
        memcpy(p, &v, 8);
    }
    for (size_t i = 0; i < n; i++) p[i] ^= key[i & 3];
}

/* frame_at finds a client's frame at the beginning of n bytes, and unmasks its payload
 * in place. It returns its length, 0 while it is incomplete, -1 where it is wrong. */
static long frame_at(uint8_t *p, size_t n, struct text *payload) {
    if (n < 2) return 0;
    uint64_t len = p[1] & 0x7f;
    size_t head = 6;
    if (len == 126) {
        head = 8;
        if (n < head) return 0;
        len = (uint64_t)p[2] << 8 | p[3];
    } else if (len == 127) {
        head = 14;
        if (n < head) return 0;
        len = 0;
        for (int i = 0; i < 8; i++) len = len << 8 | p[2 + i];
    }
    if (!(p[1] & 0x80) || len > LONGEST) return -1;
    if (n < head + len) return 0;
    unmask(p + head, len, p + head - 4);
    *payload = (struct text){p + head, len};
    return (long)(head + len);
}

#endif
