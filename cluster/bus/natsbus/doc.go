// Package natsbus is a bus on NATS. Its subjects are
//
//	wsg.<app>.hb                     what is for everybody
//	wsg.<app>.to.<receiver>.<sender>  what is for one instance
//
// with instances in hexadecimal. An instance subscribes to the first and to all below
// wsg.<app>.to.<itself>, both with one channel, so that what arrives stays in order.
//
//	Publish ──▶ outbox ──one goroutine──▶ nats.Conn ═▶ ═▶ channel ──one goroutine──▶ bus.Queue
//
// A packet for one instance carries as its reply the subject on which its answer would
// come: with it a server says at once that nobody is there, and the subject says who it was.
//
// The link is up once a server has taken both subscriptions, and an empty message on each
// kind of subject: one that may not use them would seem to be alone. Empty messages that
// arrive are ignored.
//
// While the link is down nothing is kept to be sent later: what is late is of no use, and
// the streams above send it again when their peer is heard. The client's pings find a
// server that has stopped within three seconds.
//
// The client connects anew by itself, but some complaints of a server end it for good. Then
// there is another client (client.go), 250 ms later at first, up to 5 s if that goes on.
// Whoever has a connection of Dial makes another one, too.
//
// It imports cluster/bus.
package natsbus
