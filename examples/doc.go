// Package examples holds the test of the examples: each is started as its README says, and
// all must pass the same test through the real gateway.
//
//	clients ──▶ gateway ──▶ relay ──▶ example
//	            gateway ◀── faults ◀── example
//
// The relay loses answers and forges callbacks, faults lets calls fail. The test needs the
// build tag examples, and what the examples need: make examples.
package examples
