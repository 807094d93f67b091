// Package groups knows which connections are in which groups. A group is a name
// and the connections in it; it exists while it has one.
//
//	loop ──Join, Leave, Walk──▶ Table
//	                              │ the first member joined, the last one left
//	                              ▼
//	any goroutine ──Loops──▶ Directory
//
// A connection's memberships belong to its loop: the loop has a Table, which no
// other goroutine touches and which no lock guards. The Directory says only which
// loops have members of a group. It is divided by the hash of the name into
// stripes, each with a lock that is held for a bounded piece of table work.
//
//	name.go       what a name may be; lists of names in headers
//	directory.go  which loops have members, and the memory of all tables
//	set.go        a stripe: a set of numbers without pointers
//	table.go      join, leave, look up
//	record.go     a membership: 24 bytes, in two lists
//	group.go      groups by name
//	namestore.go  the names, in chunks of bytes
//	walk.go       going through members while others come and go
//	chunks.go     arrays that grow without being copied
//
// Nothing in a table or in the directory holds a pointer but the few thousand
// chunks that they are made of, so that the garbage collector has nothing to do
// with a million memberships.
//
// It imports none of our packages.
package groups
