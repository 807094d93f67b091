// Package connlimit bounds how many connections the management server serves at a time,
// and knows them all.
//
// A [Limit] counts connections from this host and from elsewhere apart, so that strangers
// cannot take the app's, and gives each peer elsewhere only a part. Or it lets everybody
// in and ends another connection for each one too many (Config.Any). A [Conn] is a
// connection within a limit; its deadlines count the time in which the process runs, and it
// may leave the sending of an answer to the next read.
//
// It imports admin/access for the peer, exchange to send and read in one go, and
// netpoll/wire to recognise other protocols than HTTP.
package connlimit
