// Package call is how instances of a cluster write the calls of the management API to
// each other, and the answers: what goes into a message of a stream, whose order,
// sender and request it leaves to package stream.
//
//	call.go    the kinds of messages, and what a call asks for
//	answer.go  answers, and what went wrong
//	rows.go    connections and groups in answers
//	events.go  what happened to connections, in answers
//	bye.go     what an instance says that ends
//
// All of it is fields with tags. A reader skips tags that it does not know, so a later
// version may say more; what a call must not do without has a kind of its own, which
// an instance of before answers with Unknown. Nothing here panics on what others write,
// or takes memory by a number in it.
//
// It imports hub for what calls are about, and cluster/packet for fields.
package call
