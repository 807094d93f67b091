// Package members knows which other instances there are, by their heartbeats.
//
//	heartbeat ──Heard──▶ Members ──▶ events: appeared, silent, back, dead, name taken
//	each second ─Tick──▶
//	the link to NATS ──LinkDown, LinkUp──▶
//
// It says of each member whether it can be counted on, and never that it is dead
// while the own link is down or the own process did not run. The clocks of hosts play
// no role: only how long ago something was heard does.
//
//	members.go    members, and what changes them
//	names.go      two instances of one name
//	heartbeat.go  what an instance says of itself, and how it is written
//
// It starts no goroutine, reads no clock and does no I/O. Of our packages it
// imports cluster/packet.
package members
