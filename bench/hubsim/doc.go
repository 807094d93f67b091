// Package hubsim measures package hub in process, at sizes for which no machine
// has descriptors: hub.Simulation is the real hub (sessions, users, wheel, lists)
// whose connections have no sockets. Nothing of netpoll but the memory of its
// Conn, nothing of the kernel and nothing of the callbacks is in the figures.
//
// A process measures one size once: what the heap and the kernel keep of a
// smaller one would spoil the figures of the next.
package hubsim
