// Package deadletter keeps the events that failed for good in a file, one JSON line
// for each, until somebody has them sent again.
//
// [File] appends them and rotates the file; [Parse] reads a line back. Both know the
// format of a line, and neither knows why events fail or who sends them again.
//
// It imports forward/linefile, forward/headers and forward/quote, and jsoncheck; package
// forward and the command replay import it.
package deadletter
