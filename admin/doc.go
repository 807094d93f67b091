// Package admin serves the management API: the app's send, close and list calls, health
// for the orchestrator, metrics for the operator, and the operator's console.
//
//	netpoll.Server.HandedOff ─┐
//	listen.On(--admin-listen) ┴▶ connlimit ──▶ fasthttp ──▶ dispatch ──▶ the route's handler ──▶ hub
//	                              (bounds)  (a goroutine for  (route, access,   (parse, call,
//	                                         a connection)     method)           answer)
//
// Every request is checked alike, wherever it came in. The request target is matched as it
// was sent ([routeOf]); the caller must be allowed (package access); the method must be the
// route's. Only then is the body read. So a stranger can hold no more than one of a bounded
// number of connections, for a bounded time. All that is known of a route is in one table
// (route.go).
//
// Metrics and health can also be served to everybody on a listener of their own
// ([Server.ServeMetrics]), within a limit of its own.
//
// The package decides nothing about connections: it turns bytes into calls of the hub and
// the hub's answers into bytes. Its handlers may block; loops never wait for them.
//
// With a cluster calls are about the connections of all its instances, unless they say
// otherwise ([cluster.Connections]).
//
// It imports cluster, hub, hub/groups, forward, netpoll, netpoll/wire and the packages below it.
package admin
