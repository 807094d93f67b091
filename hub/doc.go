// Package hub knows who is connected: it stands between the connections of
// package netpoll, the events of package forward and the management API.
//
//	loop ──Upgrade──▶ session ──Open──────▶ forward      (loop's goroutine)
//	loop ──Message──▶ ping? ─no─▶ Message ▶ forward
//	loop ──Closed───▶ off the list ─Close─▶ forward
//	loop ──Tick─────▶ wheel: ping timeout, server ping
//
//	API ──Send, Close──▶ targets ──one task for each loop──▶ connections
//	API ──List, Get────▶ directory                       (caller's goroutine)
//	API ──Tap──────────▶ what the loops show it, as far as it has room
//
// A session, its place in the loop's slab and the loop's wheel belong to the
// loop's goroutine. The directory (user name → sessions) is the one thing that
// all share: it is striped by the name's hash, and a stripe's lock is held for a
// bounded piece of map work only. No lock is held while another is taken or
// while anything is called that is not the directory's.
package hub
