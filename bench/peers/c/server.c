/*
 * The floor: a WebSocket echo server that does nothing but what the kernel and
 * RFC 6455 demand. One thread, one epoll, level-triggered; one read and one write
 * for whatever has arrived together; no memory for an idle connection but its entry
 * in an array. It checks what it needs to stay in step, no more: it is a measure,
 * not a server to use.
 *
 *   server [--listen ADDR:PORT] [--procs N] [--broadcast]
 *
 * --procs is taken and not heeded: there is one thread.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sha1.h"

enum { MOST_FDS = 1 << 16, READ_SIZE = 64 << 10, EVENTS = 1024, MOST_HEAD = 16 << 10, LONGEST = 64 << 20 };

struct bytes {
    uint8_t *at;
    size_t len, cap;
};

enum state { UNUSED, SHAKING, OPEN };

struct conn {
    struct bytes *held; /* what has arrived of a head or frame that is not complete */
    struct bytes *rest; /* what the socket has not taken yet */
    enum state state;
};

static struct conn conns[MOST_FDS];
static int highest, epoll_fd;
static bool broadcasts;
static uint8_t input[READ_SIZE];
static struct bytes output;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static uint8_t *extend(struct bytes *b, size_t n) {
    if (b->len + n > b->cap) {
        b->cap = 2 * (b->len + n);
        if (!(b->at = realloc(b->at, b->cap))) die("realloc");
    }
    b->len += n;
    return b->at + b->len - n;
}

static struct bytes *copy(const uint8_t *at, size_t n) {
    struct bytes *b = calloc(1, sizeof *b);
    if (!b) die("calloc");
    memcpy(extend(b, n), at, n);
    return b;
}

static void drop(struct bytes **b) {
    if (*b) free((*b)->at);
    free(*b);
    *b = NULL;
}

static void hang_up(int fd) {
    drop(&conns[fd].held);
    drop(&conns[fd].rest);
    conns[fd].state = UNUSED;
    close(fd);
}

static void watch(int op, int fd, uint32_t events) {
    struct epoll_event e = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll_fd, op, fd, &e)) die("epoll_ctl");
}

/* transmit returns false when the connection broke. */
static bool transmit(int fd, const uint8_t *at, size_t n) {
    struct conn *c = &conns[fd];
    if (c->rest) {
        memcpy(extend(c->rest, n), at, n);
        return true;
    }
    ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return false;
    if (sent < 0) sent = 0;
    if ((size_t)sent < n) {
        c->rest = copy(at + sent, n - (size_t)sent);
        watch(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT);
    }
    return true;
}

static bool writable(int fd) {
    struct bytes *b = conns[fd].rest;
    if (!b) return true;
    ssize_t sent = send(fd, b->at, b->len, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    b->len -= (size_t)sent;
    memmove(b->at, b->at + sent, b->len);
    if (b->len == 0) {
        drop(&conns[fd].rest);
        watch(EPOLL_CTL_MOD, fd, EPOLLIN);
    }
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
    memcpy(extend(b, n), payload, n);
}

static void broadcast(uint8_t first, const uint8_t *payload, size_t n) {
    struct bytes frame = {0};
    append_frame(&frame, first, payload, n);
    for (int fd = 0; fd <= highest; fd++)
        if (conns[fd].state == OPEN) (void)transmit(fd, frame.at, frame.len); /* a broken one shows at its next event */
    free(frame.at);
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

/* frame answers the first frame into output. It returns its length, 0 while it is
 * incomplete, -1 where the connection is to be dropped, -2 where it is to end once
 * output is sent. */
static long frame(uint8_t *p, size_t n) {
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
    uint8_t *payload = p + head;
    unmask(payload, len, payload - 4);
    uint8_t op = p[0] & 0x0f;
    long whole = (long)(head + len);
    if (op == 0xA) return whole;
    if (op == 0x9) {
        append_frame(&output, 0x8A, payload, len);
        return whole;
    }
    if (op == 0x8) {
        append_frame(&output, 0x88, payload, len);
        return -2;
    }
    if (broadcasts && len >= 10 && memcmp(payload, "broadcast ", 10) == 0)
        broadcast(p[0], payload, len);
    else
        append_frame(&output, p[0], payload, len);
    return whole;
}

/* handshake answers a request into output, with frame's return values. */
static long handshake(uint8_t *p, size_t n) {
    static const char name[] = "\r\nsec-websocket-key:", guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end) return n > MOST_HEAD ? -1 : 0;
    for (uint8_t *line = p; (line = memmem(line, (size_t)(end - line), "\r\n", 2)); line += 2) {
        if ((size_t)(end - line) < sizeof name - 1 + 24 || strncasecmp((char *)line, name, sizeof name - 1)) continue;
        uint8_t *key = line + sizeof name - 1;
        while (key < end && *key == ' ') key++;
        if (end - key < 24) return -1;
        uint8_t text[60], digest[20];
        memcpy(text, key, 24);
        memcpy(text + 24, guid, 36);
        sha1(text, sizeof text, digest);
        static const char head[] =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
        memcpy(extend(&output, sizeof head - 1), head, sizeof head - 1);
        base64_20(digest, (char *)extend(&output, 28));
        memcpy(extend(&output, 4), "\r\n\r\n", 4);
        return end + 4 - p;
    }
    return -1;
}

/* answer takes what is complete in data. It returns false where the connection ends. */
static bool answer(int fd, uint8_t *data, size_t n) {
    struct conn *c = &conns[fd];
    size_t done = 0;
    long took = 1;
    output.len = 0;
    while (done < n) {
        if (c->state == SHAKING) {
            took = handshake(data + done, n - done);
            if (took > 0) c->state = OPEN;
        } else {
            took = frame(data + done, n - done);
        }
        if (took <= 0) break;
        done += (size_t)took;
    }
    if (took == -1) return false;
    if (output.len > 0 && !transmit(fd, output.at, output.len)) return false;
    if (took == -2) return false;
    if (done == 0 && c->held) return true; /* it is all held already */
    struct bytes *left = done < n ? copy(data + done, n - done) : NULL;
    drop(&c->held);
    c->held = left;
    return true;
}

static bool readable(int fd) {
    struct bytes *held = conns[fd].held;
    ssize_t n = read(fd, input, sizeof input);
    if (n < 0) return errno == EAGAIN;
    if (n == 0) return false;
    if (!held) return answer(fd, input, (size_t)n);
    memcpy(extend(held, (size_t)n), input, (size_t)n);
    return answer(fd, held->at, held->len);
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN || errno == ECONNABORTED) return;
            die("accept4");
        }
        if (fd >= MOST_FDS) {
            close(fd);
            continue;
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        conns[fd].state = SHAKING;
        if (fd > highest) highest = fd;
        watch(EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

static int listen_at(const char *text) {
    char host[64];
    const char *colon = strrchr(text, ':');
    struct sockaddr_in a = {.sin_family = AF_INET};
    if (!colon || (size_t)(colon - text) >= sizeof host) errno = EINVAL, die(text);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = 0;
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1) errno = EINVAL, die(text);
    a.sin_port = htons((uint16_t)atoi(colon + 1));
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof a;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) || bind(fd, (struct sockaddr *)&a, len) ||
        listen(fd, 65535) || getsockname(fd, (struct sockaddr *)&a, &len))
        die(text);
    printf("%s:%d\n", inet_ntop(AF_INET, &a.sin_addr, host, sizeof host), ntohs(a.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv) {
    const char *address = "127.0.0.1:0";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--broadcast") == 0)
            broadcasts = true;
        else if (strcmp(argv[i], "--listen") == 0 && i + 1 < argc)
            address = argv[++i];
        else if (strcmp(argv[i], "--procs") == 0 && i + 1 < argc)
            i++;
        else
            return fprintf(stderr, "unknown argument %s\n", argv[i]), 2;
    }
    if ((epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0) die("epoll_create1");
    int listener = listen_at(address);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN);
    struct epoll_event events[EVENTS];
    for (;;) {
        int n = epoll_wait(epoll_fd, events, EVENTS, -1);
        if (n < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                accept_all(listener);
                continue;
            }
            bool lives = conns[fd].state != UNUSED;
            if (lives && events[i].events & EPOLLOUT) lives = writable(fd);
            if (lives && events[i].events & ~(uint32_t)EPOLLOUT) lives = readable(fd);
            if (!lives && conns[fd].state != UNUSED) hang_up(fd);
        }
    }
}
