/*
 * The loop of the programs in C: one thread, one epoll, level-triggered; one read and
 * one write for whatever has arrived together on a connection; no memory for an idle
 * connection but its entry in an array. A program says with take what the bytes of a
 * connection mean.
 */
#ifndef LOOP_H
#define LOOP_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_FDS = 1 << 16, READ_SIZE = 64 << 10, EVENTS = 1024 };

struct bytes {
    uint8_t *at;
    size_t len, cap;
};

enum { UNUSED, ACCEPTED }; /* further states are the program's */

struct conn {
    struct bytes *held; /* what has arrived of a unit that is not complete */
    struct bytes *rest; /* what the socket has not taken yet */
    void *owner;        /* the program's */
    uint8_t state;
    bool paused; /* it is not read */
};

static struct conn conns[MOST_FDS];
static int highest, epoll_fd;
static uint8_t input[READ_SIZE];
static struct bytes output; /* what take answers on its connection */

/* take handles the first unit in n bytes of a connection: a head, a frame. It returns
 * its length, 0 while it is incomplete, -1 where the connection is to be dropped, -2
 * where it is to end once output is sent. */
static long take(int fd, uint8_t *p, size_t n);

/* gone is told of a connection that is about to be closed. */
static void gone(int fd);

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

static void put(struct bytes *b, const void *at, size_t n) {
    if (n > 0) memcpy(extend(b, n), at, n);
}

#define PUT(b, literal) put(b, literal, sizeof literal - 1)

static struct bytes *copy(const uint8_t *at, size_t n) {
    struct bytes *b = calloc(1, sizeof *b);
    if (!b) die("calloc");
    put(b, at, n);
    return b;
}

static void drop(struct bytes **b) {
    if (*b) free((*b)->at);
    free(*b);
    *b = NULL;
}

static void watch(int op, int fd) {
    const struct conn *c = &conns[fd];
    struct epoll_event e = {.events = (c->paused ? 0u : EPOLLIN) | (c->rest ? EPOLLOUT : 0u), .data.fd = fd};
    if (epoll_ctl(epoll_fd, op, fd, &e)) die("epoll_ctl");
}

static void hang_up(int fd) {
    gone(fd);
    drop(&conns[fd].held);
    drop(&conns[fd].rest);
    conns[fd] = (struct conn){.state = UNUSED};
    close(fd);
}

/* transmit returns false when the connection broke, which its next event shows too. */
static bool transmit(int fd, const uint8_t *at, size_t n) {
    struct conn *c = &conns[fd];
    if (c->rest) {
        put(c->rest, at, n);
        return true;
    }
    ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return false;
    if (sent < 0) sent = 0;
    if ((size_t)sent < n) {
        c->rest = copy(at + sent, n - (size_t)sent);
        watch(EPOLL_CTL_MOD, fd);
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
        watch(EPOLL_CTL_MOD, fd);
    }
    return true;
}

/* answer takes what is complete in data. It returns false where the connection ends. */
static bool answer(int fd, uint8_t *data, size_t n) {
    struct conn *c = &conns[fd];
    size_t done = 0;
    long took = 1;
    output.len = 0;
    while (done < n && (took = take(fd, data + done, n - done)) > 0) done += (size_t)took;
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
    put(held, input, (size_t)n);
    return answer(fd, held->at, held->len);
}

/* adopt makes a socket a connection. It closes it where there are too many. */
static bool adopt(int fd, uint8_t state) {
    if (fd >= MOST_FDS) return close(fd), false;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    conns[fd].state = state;
    if (fd > highest) highest = fd;
    watch(EPOLL_CTL_ADD, fd);
    return true;
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            adopt(fd, ACCEPTED);
        else if (errno == EAGAIN || errno == ECONNABORTED)
            return;
        else
            die("accept4");
    }
}

/* address reads ADDR:PORT. */
static struct sockaddr_in address(const char *text) {
    char host[64];
    const char *colon = strrchr(text, ':');
    struct sockaddr_in a = {.sin_family = AF_INET};
    if (!colon || (size_t)(colon - text) >= sizeof host) errno = EINVAL, die(text);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = 0;
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1) errno = EINVAL, die(text);
    a.sin_port = htons((uint16_t)atoi(colon + 1));
    return a;
}

/* serve listens, prints the address and serves for ever. */
static void serve(const char *text) {
    struct sockaddr_in a = address(text);
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof a;
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        bind(listener, (struct sockaddr *)&a, len) || listen(listener, 65535) ||
        getsockname(listener, (struct sockaddr *)&a, &len))
        die(text);
    if ((epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0) die("epoll_create1");
    watch(EPOLL_CTL_ADD, listener);
    char host[INET_ADDRSTRLEN];
    printf("%s:%d\n", inet_ntop(AF_INET, &a.sin_addr, host, sizeof host), ntohs(a.sin_port));
    fflush(stdout);
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

#endif
