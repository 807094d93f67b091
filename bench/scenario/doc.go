// Package scenario measures: a Case is one row of work, a round of it starts
// fresh servers, loads them and reads from the kernel what they cost.
//
//	ws-bench (load threads) ──WebSocket──▶ child: gateway, or echo server
//	                                          │ callback      ▲ send API
//	                                          ▼               │
//	                                       child: sink app ───┘
//
// A Scenario is the options of a command, whose tags kong reads, and says what its
// cases are. Run takes the cases in turn within each round, so that a change of the
// machine's mood meets all of them. Abuse and Chaos have rows in place of rounds.
// It imports the rest of bench, and nothing of the gateway.
package scenario
