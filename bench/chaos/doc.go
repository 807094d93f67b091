// Package chaos proves that the gateway loses, reorders and invents nothing while
// the app misbehaves.
//
//	Crowd (clients) ══WebSocket══▶ gateway ──POST──▶ App: Fault by Fault
//	   │ what each sent, and how it ended                 │ Post by Post, Outages
//	   ▼                                                  ▼
//	Client ───────────────▶ Audit(Evidence) ◀──────────── Log, and Letters
//
// Clients may resume their sessions, while the network between them and the gateway
// misbehaves too. Then the answer to a handshake may be lost, and the App hears of a
// connection that no client knows; a Sender sends to them; and AuditSessions looks for the
// reason of each session that did not go on:
//
//	Crowd (roamers) ──badlink──▶ gateway ◀──send API── Sender
//	Client, Session ──▶ Audit, AuditSends, AuditSessions
//
// Of several gateways that answer as one it proves the same while the network between
// them misbehaves:
//
//	Sender ──send API──▶ gateways ══WebSocket══▶ Crowd (clients)
//	   │ what it sent       │ ▲                     │ what each heard
//	   ▼                    ▼ │                     ▼
//	AuditSends ◀──────    badlink, NATS    ────▶ AuditSends
//
// The App speaks HTTP/1.1 on raw sockets, because it does what net/http's server
// can't: it answers in half lines, with lengths that are wrong, byte by byte, or
// not at all. It rolls its dice with a seed; what meets what is up to the scheduler.
//
// Audit and AuditSends are pure, and none of their judgements depends on time: if an
// answer may have come too late, the gateway's own count of timeouts says how often it
// can have been so, and an attempt that the App can't have read needs a closed port or a
// broken connection to explain it. A message must have come if a later one of the same
// sender has.
package chaos
