// Package meta keeps what the app wants to have back with a connection: its metadata, a
// JSON value of up to a kibibyte.
//
//	app ──X-Ws-Meta in an answer──▶ forward ──Set──▶ Store ◀──Set── hub ◀── API
//	forward ──Get, when an event is first POSTed──▶ Store
//	hub ─────Get, for lists──────────────────────▶ Store
//
// Only connections that have some take memory. A value is immutable and shared by the
// connections that were given it in one call.
//
//	value.go  what may be metadata, and how answers write it
//	store.go  which connection has which
//
// It imports jsoncheck alone.
package meta
