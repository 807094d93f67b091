// Package admin serves the management API: the app's send, close and list
// calls, health for the orchestrator, metrics for the operator.
//
//	netpoll.Server.HandedOff ─┐
//	Listen(--admin-listen) ───┴▶ door ──▶ fasthttp ──▶ dispatch ──▶ route's handler ──▶ hub
//	                             (bounds)  (a goroutine  (route, access  (parse, call,
//	                                        a connection) rules, method)  answer)
//
// Every request is checked alike, wherever it came in: the request target is matched as
// it was sent ([routeOf]), the caller must be allowed (package access), the method must be
// the route's; only then is its body read. A stranger can therefore hold no more than one
// of a bounded number of connections, for a bounded time. What is known of a route is in
// one table (route.go).
//
// What there is to look at, metrics and health, can be served on a listener of its
// own as well ([Server.ServeMetrics]): to everybody, through a door of its own.
//
// The console (package console) is a page among these routes, whose script calls the
// others.
//
// The package decides nothing about connections: it turns bytes into calls of
// the hub and the hub's answers into bytes. Its handlers may block, loops never
// wait for them.
package admin
