// Package hub knows who is connected: it stands between the connections of
// package netpoll, the events of package forward and the management API.
//
//	loop ──Upgrade──▶ session ──Open──────▶ forward      (loop's goroutine)
//	loop ──Message──▶ ping? ─no─▶ Message ▶ forward
//	loop ──Closed───▶ off the list ─Close─▶ forward
//	loop ──Tick─────▶ wheel: ping timeout, server ping
//
//	API ──Send, Close──▶ targets ──one task for each loop──▶ connections
//	API ──Join, Leave──▶ targets ──one task for each loop──▶ memberships of groups
//	API ──List, Get────▶ directory                       (caller's goroutine)
//	API ──Tap──────────▶ what the loops show it, as far as it has room
//
// A session, its place in the loop's slab, its memberships of groups and the loop's
// wheels belong to the loop's goroutine. What all loops share is the directory (user
// name → sessions), which loops have members of a group, and the counts of
// connections by address: all are striped, and a lock is held for a bounded piece of
// map work only.
//
// hub/directory, hub/groups, hub/meta and hub/wheel are the parts that know no connection. Of
// our other packages hub imports netpoll, netpoll/wire, forward, forward/headers,
// handover/record, httptoken, jsoncheck and tokenbucket.
package hub
