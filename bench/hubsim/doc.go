// Package hubsim measures what package hub keeps of its connections, at sizes for
// which no machine has descriptors: the real sessions, users, deadlines and lists
// (hub/directory, hub/wheel), with the steps of a loop and without connections.
// Nothing of netpoll but the memory of its Conn, nothing of the kernel and nothing
// of the callbacks is in the figures.
//
// A process measures one size once: what the heap and the kernel keep of a
// smaller one would spoil the figures of the next.
package hubsim
