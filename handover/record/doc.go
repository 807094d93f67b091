// Package record writes what outlives the process, and reads it: records of fields.
//
//	netpoll, hub, forward ──Append──▶ Fields ──AppendRecord──▶ file  of --resume-state
//	netpoll, hub, forward ◀──Read──── Fields ◀────Records───── file
//
// Each package writes down what it owns under tags of its own. It does not know what the
// others write, which rides beside it in a field. Versions need no numbers: a reader that
// does not know a field skips it if its tag is odd, and refuses the record if it is even.
// So whoever adds a field decides what becomes of it in an older program, and leaves the
// tags of fields that are gone alone. What has a number is the frame around the records,
// which is the file's.
//
//	field.go   fields: a tag, a length, bytes
//	file.go    records of a kind, and a file of them
//
// It does no I/O, and imports none of our packages.
package record
