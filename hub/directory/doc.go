// Package directory knows the sessions of all loops by their users' names: it
// finds the sessions of a user, and lists them all in pages.
//
//	loop ──Join, Leave──▶ stripe ◀──EachOf, Get, List── any goroutine
//
// It is the one thing that the loops share, so it is divided by the hash of the
// name into stripes, each with a lock of its own. A lock is held for a bounded
// piece of map work, and while it is held nothing outside the package is called
// and no other lock is taken. A list is as long as it wants to be: it holds a lock
// for one step at a time, and a walk remembers where it stands in between.
//
//	directory.go  join, leave, look up
//	stripe.go     the table of users: entries without pointers
//	session.go    what is kept of one connection
//	walk.go       going through sessions while others come and go
//	list.go       whole lists and pages, by user, prefix and address
//	among.go      lists that are limited to some sessions
//	cursor.go     where a page ended, as text
//
// Of our packages it imports netpoll, for the ID and the Slab.
package directory
