// Package access decides who may use the management API.
//
// With an admin token, whoever sends it may. Without one, only the app beside us may: a
// request must come from this host, and must not show that a proxy passed it on (proxy.go)
// or that a web page sent it (page.go, host.go), because proxies and browsers are the
// processes on this host that strangers can make send something. [Rules.Admit] applies
// these rules to a request's head, and slows down peers that try out tokens (guesses.go).
//
// It imports none of ours.
package access
