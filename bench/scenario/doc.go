// Package scenario measures: a Case is one row of work, a round of it starts
// fresh servers, loads them and reads from the kernel what they cost.
//
//	ws-bench (load threads) ──WebSocket──▶ child: gateway, or echo server
//	                                          │ callback      ▲ send API
//	                                          ▼               │
//	                                       child: sink app ───┘
//
// Run takes the cases in turn within each round, so that a change of the
// machine's mood meets all of them.
package scenario
