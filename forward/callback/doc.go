// Package callback makes one POST to the app: it connects, writes the request, reads
// the answer, and keeps the connection for the next one if the answer allows that.
//
//	Target  where POSTs go, from a callback URL
//	Signer  X-Ws-Signature
//	Request what one POST carries
//	Client  a connection to the app, and the last answer that came on it
//	Watch   lets other goroutines see that an answer has arrived
//
// What an answer means for an event, and whether to try again, is for the caller to
// decide. The package knows nothing of events, queues or retries. Of the project's
// packages it imports exchange; package forward imports it, and cmd for [CheckURL] and
// [Reach].
package callback
