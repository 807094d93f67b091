// Package connlimit bounds how many connections the management server serves at a time,
// and knows them all.
//
// A [Limit] counts connections from this host and from elsewhere apart, so that strangers
// cannot take the app's, and gives each peer elsewhere only a part. Or it lets everybody
// in and ends another connection for each one too many (Config.Any). A [Conn] is a
// connection within a limit; its deadlines count the time in which the process runs.
//
// It imports admin/access for the peer, and netpoll/wire to recognise other protocols than
// HTTP.
package connlimit
