// Package bus is what carries packets between the instances of a cluster: to one of
// them, or to all. It promises nothing: a packet may be lost, come twice, or come late.
// Streams (package cluster/stream) make order of that.
//
//	router ──Publish──▶ Bus ─ ─ ─ ─▶ Bus ──Queue: Wake, Take──▶ router
//
// There are two of them: natsbus, on NATS, and localbus, between gateways of one
// process. Neither ever holds up who publishes or who receives: what has no room is
// dropped, and counted.
//
// Package bus imports nothing of ours.
package bus
