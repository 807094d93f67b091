// Package sock is the sockets of bench clients: non-blocking TCP over an epoll,
// without Go's poller, and none of the gateway's code. Linux only.
package sock
