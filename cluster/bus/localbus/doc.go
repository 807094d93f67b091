// Package localbus is a bus between gateways of one process, for the demo and for
// tests. A packet that is published has arrived when Publish returns. What happens to
// packets on a real bus happens here when it is asked for: links that are cut, packets
// that are lost, come twice, or wait.
//
// It imports cluster/bus.
package localbus
