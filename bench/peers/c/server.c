/*
 * The floor: a WebSocket echo server that does nothing but what the kernel and
 * RFC 6455 demand, in the loop of loop.h. It checks what it needs to stay in step, no
 * more: it is a measure, not a server to use.
 *
 *   server [--listen ADDR:PORT] [--procs N] [--broadcast]
 *
 * --procs is taken and not heeded: there is one thread.
 */
#define _GNU_SOURCE
#include "wire.h"

enum { OPEN = ACCEPTED + 1 };

static bool broadcasts;

static void gone(int fd) { (void)fd; }

static void broadcast(uint8_t first, struct text payload) {
    struct bytes frame = {0};
    append_frame(&frame, first, payload.at, payload.len);
    for (int fd = 0; fd <= highest; fd++)
        if (conns[fd].state == OPEN) (void)transmit(fd, frame.at, frame.len); /* a broken one shows at its next event */
    free(frame.at);
}

static long frame(uint8_t *p, size_t n) {
    struct text payload;
    long whole = frame_at(p, n, &payload);
    if (whole <= 0) return whole;
    uint8_t op = p[0] & 0x0f;
    if (op == 0xA) return whole;
    if (op == 0x9) {
        append_frame(&output, 0x8A, payload.at, payload.len);
        return whole;
    }
    if (op == 0x8) {
        append_frame(&output, 0x88, payload.at, payload.len);
        return -2;
    }
    if (broadcasts && payload.len >= 10 && memcmp(payload.at, "broadcast ", 10) == 0)
        broadcast(p[0], payload);
    else
        append_frame(&output, p[0], payload.at, payload.len);
    return whole;
}

static long take(int fd, uint8_t *p, size_t n) {
    if (conns[fd].state == OPEN) return frame(p, n);
    uint8_t *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end) return n > MOST_HEAD ? -1 : 0;
    if (!append_upgrade(&output, p, end)) return -1;
    conns[fd].state = OPEN;
    return end + 4 - p;
}

int main(int argc, char **argv) {
    const char *local = "127.0.0.1:0";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--broadcast") == 0)
            broadcasts = true;
        else if (strcmp(argv[i], "--listen") == 0 && i + 1 < argc)
            local = argv[++i];
        else if (strcmp(argv[i], "--procs") == 0 && i + 1 < argc)
            i++;
        else
            return fprintf(stderr, "unknown argument %s\n", argv[i]), 2;
    }
    serve(local);
}
