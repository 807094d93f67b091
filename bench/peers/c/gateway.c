/*
 * A bare gateway: what the kernel and one thread need for ws-gateway's job. Clients
 * connect at /ws; each open, message and close is POSTed to the app, the events of one
 * connection in order and one at a time, at most LINKS of all at once; the app sends by
 * POST /tapr/ws/conn/send or, with --callback-reply, in its answer. docs/protocol.md
 * says what all of that looks like.
 *
 *   gateway [--listen ADDR:PORT] [--callback-url http://ADDR:PORT/PATH] [--callback-reply]
 *
 * Without a callback URL what clients send goes nowhere.
 *
 * It is a measure, not a gateway to use. It has no timeouts, limits of rates, pings of
 * its own, log or metrics. An app that refuses an event, or breaks ATTEMPTS connections
 * over it, loses it; one that cannot be reached ends the program. It refuses what the
 * harness does not need: fragments, groups, encodings of a payload, reports.
 */
#define _GNU_SOURCE
#include <sys/ioctl.h>
#include <sys/random.h>

#include "json.h"

enum { CLIENT = ACCEPTED + 1, CALLER, LINK };
enum { LINKS = 64, ATTEMPTS = 9, MOST_EVENTS = 256, MOST_WAITING = 1 << 20, ID_LEN = 24, BUCKETS = 1 << 16 };

/* event is a POST, until the app has answered it. */
struct event {
    struct event *next;
    uint32_t len, attempt; /* attempt is where its digit is */
    uint8_t at[];
};

/* client lives until its close event is answered. */
struct client {
    char id[ID_LEN + 1];
    int fd; /* -1: it has gone */
    uint32_t slot, seq, call;
    bool busy; /* an event is under way, or it waits for a link */
    struct event *first, **last;
    uint32_t events;
    size_t waiting;       /* bytes of events */
    struct client *ready; /* the next that waits for a link */
    struct client *peer;  /* the next in its bucket */
    struct text user, cookie; /* quoted; a header line or nothing */
    uint8_t text[];
};

static struct client *clients[MOST_FDS], *users[BUCKETS], *ready_first, **ready_last = &ready_first;
static uint32_t free_slots[MOST_FDS], slots_free, slots_used, made, calls, instance;
static int idle[LINKS], idles, links;
static struct sockaddr_in app;
static struct bytes prefix, head, body, outgoing;
static bool replies;

static void put_number(struct bytes *b, size_t n) {
    char text[20], *p = text + sizeof text;
    do *--p = (char)('0' + n % 10);
    while (n /= 10);
    put(b, p, (size_t)(text + sizeof text - p));
}

static struct client **bucket(struct text user) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < user.len; i++) h = (h ^ user.at[i]) * 16777619u;
    return &users[h % BUCKETS];
}

static void pause_reading(struct client *c, bool on) {
    if (c->fd < 0 || conns[c->fd].paused == on) return;
    conns[c->fd].paused = on;
    watch(EPOLL_CTL_MOD, c->fd);
}

static int new_link(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&app, sizeof app)) die("the app");
    int on = 1;
    if (ioctl(fd, FIONBIO, &on) || !adopt(fd, LINK)) die("a connection to the app");
    links++;
    return fd;
}

/* pump gives links to those that wait. A broken link shows at its next event. */
static void pump(void) {
    while (ready_first && (idles > 0 || links < LINKS)) {
        struct client *c = ready_first;
        if (!(ready_first = c->ready)) ready_last = &ready_first;
        int fd = idles > 0 ? idle[--idles] : new_link();
        conns[fd].owner = c;
        (void)transmit(fd, c->first->at, c->first->len);
    }
}

static void wait_for_link(struct client *c) {
    c->busy = true;
    c->ready = NULL;
    *ready_last = c;
    ready_last = &c->ready;
}

static void forget(struct client *c) {
    clients[c->slot] = NULL;
    free_slots[slots_free++] = c->slot;
    free(c);
}

/* happened makes body an event of c. Where there is no app it only forgets c, if that
 * has gone. */
static void happened(struct client *c) {
    if (prefix.len == 0) {
        if (c->fd < 0) forget(c);
        return;
    }
    head.len = 0;
    put(&head, prefix.at, prefix.len);
    put(&head, c->cookie.at, c->cookie.len);
    PUT(&head, "X-Request-Id: ");
    put(&head, c->id, ID_LEN);
    PUT(&head, "-");
    put_number(&head, ++c->seq);
    PUT(&head, "\r\nX-Attempt: ");
    size_t attempt = head.len;
    PUT(&head, "1\r\nContent-Length: ");
    put_number(&head, body.len);
    PUT(&head, "\r\n\r\n");
    struct event *e = malloc(sizeof *e + head.len + body.len);
    if (!e) die("malloc");
    *e = (struct event){NULL, (uint32_t)(head.len + body.len), (uint32_t)attempt};
    memcpy(e->at, head.at, head.len);
    memcpy(e->at + head.len, body.at, body.len);
    *c->last = e;
    c->last = &e->next;
    c->waiting += e->len;
    if (++c->events >= MOST_EVENTS || c->waiting >= MOST_WAITING) pause_reading(c, true);
    if (!c->busy) wait_for_link(c), pump();
}

static void begin_event(const char *data, size_t n) {
    body.len = 0;
    PUT(&body, "{\"data\":");
    put(&body, data, n);
}

static void put_who(struct client *c, const char *action) {
    PUT(&body, ",\"action\":\"");
    put(&body, action, strlen(action));
    PUT(&body, "\",\"user_name\":");
    put(&body, c->user.at, c->user.len);
    PUT(&body, ",\"conn_id\":\"");
    put(&body, c->id, ID_LEN);
    PUT(&body, "\"");
}

static void closed(struct client *c, unsigned code, struct text reason, const char *initiator) {
    conns[c->fd].owner = NULL;
    c->fd = -1;
    for (struct client **p = bucket(c->user); *p; p = &(*p)->peer)
        if (*p == c) {
            *p = c->peer;
            break;
        }
    begin_event("{}", 2);
    put_who(c, "close");
    PUT(&body, ",\"code\":");
    put_number(&body, code);
    PUT(&body, ",\"reason\":");
    put_quoted(&body, reason);
    PUT(&body, ",\"initiator\":\"");
    put(&body, initiator, strlen(initiator));
    PUT(&body, "\"}");
    happened(c);
}

/* ended is called for the first event of c when nothing more is to be done about it. */
static void ended(struct client *c) {
    struct event *e = c->first;
    if (!(c->first = e->next)) c->last = &c->first;
    c->waiting -= e->len;
    free(e);
    if (--c->events <= MOST_EVENTS / 2 && c->waiting <= MOST_WAITING / 2) pause_reading(c, false);
    c->busy = false;
    if (c->first)
        wait_for_link(c);
    else if (c->fd < 0)
        forget(c);
}

static void deliver(struct client *c, const struct bytes *frame) {
    struct conn *to = &conns[c->fd];
    if (to->rest && to->rest->len + frame->len > MOST_WAITING)
        shutdown(c->fd, SHUT_RDWR); /* a slow consumer; its next event is its end */
    else
        (void)transmit(c->fd, frame->at, frame->len);
}

/* answered takes the app's answer to the event that is under way on a link. */
static long answered(int fd, uint8_t *p, size_t n) {
    struct client *c = conns[fd].owner;
    uint8_t *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end) return !c || n > MOST_HEAD ? -1 : 0;
    size_t len = strtoul((char *)field(p, end, "Content-Length").at ?: "0", NULL, 10), whole = (size_t)(end + 4 - p) + len;
    if (!c || len > LONGEST || field(p, end, "Transfer-Encoding").at) return -1;
    if (n < whole) return 0;
    if (p[9] != '2') {
        fprintf(stderr, "the app does not take an event: %.12s\n", p);
    } else if (replies && len > 0 && c->fd >= 0) {
        struct text type = field(p, end, "Content-Type");
        bool text = type.len >= 5 && (!strncmp((char *)type.at, "text/", 5) || !strncmp((char *)type.at, "application/json", 16));
        outgoing.len = 0;
        append_frame(&outgoing, text ? 0x81 : 0x82, end + 4, len);
        deliver(c, &outgoing);
    }
    conns[fd].owner = NULL;
    idle[idles++] = fd;
    ended(c);
    pump();
    return (long)whole;
}

static void gone(int fd) {
    struct client *c = conns[fd].owner;
    if (conns[fd].state == CLIENT && c) closed(c, 1006, (struct text){NULL, 0}, "network");
    if (conns[fd].state != LINK) return;
    links--;
    for (int i = 0; i < idles; i++)
        if (idle[i] == fd) idle[i] = idle[--idles];
    if (!c) return;
    if (c->first->at[c->first->attempt]++ == '0' + ATTEMPTS) {
        fprintf(stderr, "the app breaks off for an event\n");
        ended(c);
    } else {
        wait_for_link(c);
    }
    pump();
}

/* put_header writes what a client claims of itself, nothing where that is not UTF-8. */
static void put_header(const char *member, struct text value) {
    put(&body, member, strlen(member));
    put_quoted(&body, is_utf8(value) ? value : (struct text){NULL, 0});
}

static long upgrade(int fd, uint8_t *p, uint8_t *end) {
    struct text user = field(p, end, "X-Bfl-User"), cookie = field(p, end, "Cookie");
    uint8_t *uri = p + 4, *version = memchr(uri, ' ', (size_t)(end - uri));
    if (!version || !field(p, end, "Upgrade").at || !is_utf8(user) || (!slots_free && slots_used == MOST_FDS) ||
        !append_upgrade(&output, p, end))
        return -1;
    outgoing.len = 0; /* room for what the client keeps */
    put_quoted(&outgoing, user);
    size_t user_len = outgoing.len;
    if (cookie.at) PUT(&outgoing, "Cookie: "), put(&outgoing, cookie.at, cookie.len), PUT(&outgoing, "\r\n");
    struct client *c = calloc(1, sizeof *c + outgoing.len);
    if (!c) die("calloc");
    memcpy(c->text, outgoing.at, outgoing.len);
    c->user = (struct text){c->text, user_len};
    c->cookie = (struct text){c->text + user_len, outgoing.len - user_len};
    c->fd = fd;
    c->last = &c->first;
    c->slot = slots_free ? free_slots[--slots_free] : slots_used++;
    clients[c->slot] = c;
    snprintf(c->id, sizeof c->id, "%08x%08x%08x", instance, c->slot, ++made);
    struct client **b = bucket(c->user);
    c->peer = *b;
    *b = c;
    conns[fd].state = CLIENT;
    conns[fd].owner = c;
    begin_event("{}", 2);
    put_who(c, "open");
    put_header(",\"request\":{\"uri\":", (struct text){uri, (size_t)(version - uri)});
    struct sockaddr_in a = {0};
    socklen_t len = sizeof a;
    getpeername(fd, (struct sockaddr *)&a, &len);
    char from[64];
    snprintf(from, sizeof from, ",\"remote_addr\":\"%s:%d\"", inet_ntoa(a.sin_addr), ntohs(a.sin_port));
    put(&body, from, strlen(from));
    put_header(",\"user_agent\":", field(p, end, "User-Agent"));
    put_header(",\"origin\":", field(p, end, "Origin"));
    PUT(&body, "}}");
    happened(c);
    return end + 4 - p;
}

/* violated ends a connection whose client breaks the protocol. */
static long violated(struct client *c, unsigned code, const char *reason) {
    struct text why = {(const uint8_t *)reason, strlen(reason)};
    uint8_t payload[125] = {(uint8_t)(code >> 8), (uint8_t)code};
    memcpy(payload + 2, reason, why.len);
    append_frame(&output, 0x88, payload, 2 + why.len);
    closed(c, code, why, "gateway");
    return -2;
}

static long close_frame(struct client *c, struct text payload) {
    struct text reason = {payload.at + 2, payload.len > 2 ? payload.len - 2 : 0};
    unsigned code = payload.len < 2 ? 1005 : (unsigned)(payload.at[0] << 8 | payload.at[1]);
    if (payload.len == 1) return violated(c, 1002, "a close code has two bytes");
    if (!is_utf8(reason)) return violated(c, 1007, "close reason is not UTF-8");
    append_frame(&output, 0x88, payload.at, payload.len > 2 ? 2 : payload.len);
    closed(c, code, reason, "client");
    return -2;
}

static bool message(struct client *c, bool text, struct text t) {
    static const char ping[] = "{\"event\":\"ping\"}", pong[] = "{\"event\":\"pong\"}";
    const char *encoding = NULL;
    if (text && !is_utf8(t)) return false;
    if (text && t.len == sizeof ping - 1 && memcmp(t.at, ping, t.len) == 0) {
        append_frame(&output, 0x81, (const uint8_t *)pong, sizeof pong - 1);
        return true;
    }
    if (text && is_json(t)) {
        begin_event((const char *)t.at, t.len);
    } else if (text) {
        encoding = "text";
        begin_event(NULL, 0);
        put_quoted(&body, t);
    } else {
        encoding = "base64";
        begin_event("\"", 1);
        base64(t.at, t.len, (char *)extend(&body, (t.len + 2) / 3 * 4));
        PUT(&body, "\"");
    }
    put_who(c, "message");
    if (encoding) PUT(&body, ",\"encoding\":"), put_quoted(&body, (struct text){(const uint8_t *)encoding, strlen(encoding)});
    PUT(&body, "}");
    happened(c);
    return true;
}

static long frame(struct client *c, uint8_t *p, size_t n) {
    struct text payload;
    long whole = frame_at(p, n, &payload);
    if (whole == 0) return 0;
    uint8_t op = p[0] & 0x0f;
    if (whole < 0) return violated(c, 1002, "frame is not masked, or too large");
    if (p[0] & 0x70 || (op > 2 && op < 8) || op > 10) return violated(c, 1002, "frame of no known kind");
    if (op > 2 && (!(p[0] & 0x80) || payload.len > 125)) return violated(c, 1002, "control frame is large, or a fragment");
    if (op == 8) return close_frame(c, payload);
    if (op == 9) append_frame(&output, 0x8A, payload.at, payload.len);
    if (op > 2) return whole;
    if (!(p[0] & 0x80) || op == 0) return violated(c, 1003, "fragments are not taken here");
    return message(c, op == 1, payload) ? whole : violated(c, 1007, "text is not valid UTF-8");
}

static void respond(const char *status, const char *json, size_t n) {
    PUT(&output, "HTTP/1.1 ");
    put(&output, status, strlen(status));
    PUT(&output, "\r\nContent-Type: application/json\r\nContent-Length: ");
    put_number(&output, n);
    PUT(&output, "\r\n\r\n");
    put(&output, json, n);
}

static void refuse(const char *why) {
    char json[256];
    int n = snprintf(json, sizeof json, "{\"code\":400,\"message\":\"%s\"}", why);
    respond("200 OK", json, (size_t)n);
}

/* deliver_once delivers what is in outgoing, once in a call. */
static void deliver_once(struct client *c) {
    if (c->fd < 0 || c->call == calls) return;
    c->call = calls;
    deliver(c, &outgoing);
}

static void to_id(struct text quoted) {
    if (quoted.len != ID_LEN + 2 || quoted.at[0] != '"') return;
    char slot[9] = {0};
    memcpy(slot, quoted.at + 9, 8);
    unsigned long n = strtoul(slot, NULL, 16);
    if (n < MOST_FDS && clients[n] && memcmp(clients[n]->id, quoted.at + 1, ID_LEN) == 0) deliver_once(clients[n]);
}

/* to_user knows users by their names as put_quoted writes them. */
static void to_user(struct text quoted) {
    for (struct client *c = *bucket(quoted); c; c = c->peer)
        if (c->user.len == quoted.len && memcmp(c->user.at, quoted.at, quoted.len) == 0) deliver_once(c);
}

static void to_each(struct text array, void (*to)(struct text)) {
    struct text v;
    for (const uint8_t *p = array.at + 1; array.len > 0 && array.at[0] == '[' && next(&p, array.at + array.len, NULL, &v);) to(v);
}

static void send_call(struct text json) {
    static const char *refused[] = {"encoding", "groups", "exclude", "report", "all"};
    struct text name, v, payload = {0}, id = {0}, ids = {0}, names = {0};
    struct { const char *name; struct text *value; } members[] = {{"payload", &payload}, {"conn_id", &id}, {"conns", &ids}, {"users", &names}};
    if (!is_utf8(json) || !is_json(json) || *blanks(json.at, json.at + json.len) != '{')
        return refuse("the body is not a JSON object in UTF-8");
    for (const uint8_t *p = blanks(json.at, json.at + json.len) + 1; next(&p, json.at + json.len, &name, &v);) {
        for (size_t i = 0; i < sizeof members / sizeof *members; i++)
            if (strlen(members[i].name) == name.len && !memcmp(members[i].name, name.at, name.len)) *members[i].value = v;
        for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
            if (strlen(refused[i]) == name.len && !memcmp(refused[i], name.at, name.len)) return refuse("that is not in this gateway");
    }
    if (!payload.at) return refuse("payload is missing");
    if (!id.len && !ids.len && !names.len) return refuse("send message target is nil");
    if (names.len && (id.len || ids.len)) return refuse("users beside connections are not in this gateway");
    static const char success[] = "{\"code\":0,\"message\":\"success\"}";
    outgoing.len = 0;
    append_frame(&outgoing, 0x81, payload.at, payload.len);
    calls++;
    to_id(id);
    to_each(ids, to_id);
    to_each(names, to_user);
    respond("200 OK", success, sizeof success - 1);
}

static void list_call(void) {
    body.len = 0;
    PUT(&body, "{\"code\":0,\"message\":\"success\",\"data\":[");
    for (uint32_t i = 0; i < slots_used; i++) { /* a user with several is there several times */
        if (!clients[i] || clients[i]->fd < 0) continue;
        if (body.at[body.len - 1] == '}') PUT(&body, ",");
        PUT(&body, "{\"name\":");
        put(&body, clients[i]->user.at, clients[i]->user.len);
        PUT(&body, ",\"conns\":[{\"id\":\"");
        put(&body, clients[i]->id, ID_LEN);
        PUT(&body, "\"}]}");
    }
    PUT(&body, "]}");
    respond("200 OK", (char *)body.at, body.len);
}

static bool begins(const uint8_t *p, const uint8_t *end, const char *with) {
    return (size_t)(end - p) >= strlen(with) && memcmp(p, with, strlen(with)) == 0;
}

static long request(int fd, uint8_t *p, size_t n) {
    uint8_t *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end) return n > MOST_HEAD ? -1 : 0;
    if (conns[fd].state == ACCEPTED && (begins(p, end, "GET /ws ") || begins(p, end, "GET /ws?"))) return upgrade(fd, p, end);
    conns[fd].state = CALLER;
    size_t len = strtoul((char *)field(p, end, "Content-Length").at ?: "0", NULL, 10), whole = (size_t)(end + 4 - p) + len;
    if (len > LONGEST || field(p, end, "Transfer-Encoding").at) return -1;
    if (n < whole) return 0;
    if (begins(p, end, "POST /tapr/ws/conn/send "))
        send_call((struct text){end + 4, len});
    else if (begins(p, end, "GET /tapr/ws/conn/list "))
        list_call();
    else
        respond("404 Not Found", "", 0);
    return (long)whole;
}

static long take(int fd, uint8_t *p, size_t n) {
    switch (conns[fd].state) {
    case CLIENT: return frame(conns[fd].owner, p, n);
    case LINK: return answered(fd, p, n);
    default: return request(fd, p, n);
    }
}

/* call_at makes the beginning of all POSTs. */
static void call_at(const char *url) {
    const char *host = strncmp(url, "http://", 7) == 0 ? url + 7 : url, *path = strchr(host, '/');
    char authority[64];
    if (!path || (size_t)(path - host) >= sizeof authority) errno = EINVAL, die(url);
    memcpy(authority, host, (size_t)(path - host));
    authority[path - host] = 0;
    app = address(authority);
    int n = asprintf((char **)&prefix.at,
                     "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: ws-gateway\r\nContent-Type: application/json\r\nX-Ws-Epoch: %026u\r\n",
                     path, authority, instance);
    if (n < 0) die("asprintf");
    prefix.len = (size_t)n;
}

int main(int argc, char **argv) {
    const char *local = "127.0.0.1:0", *url = NULL;
    if (getrandom(&instance, sizeof instance, 0) != sizeof instance) die("getrandom");
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--callback-reply") == 0)
            replies = true;
        else if (strcmp(argv[i], "--listen") == 0 && i + 1 < argc)
            local = argv[++i];
        else if (strcmp(argv[i], "--callback-url") == 0 && i + 1 < argc)
            url = argv[++i];
        else
            return fprintf(stderr, "unknown argument %s\n", argv[i]), 2;
    }
    if (url) call_at(url);
    serve(local);
}
