// Package listen makes the management API's listener: at a TCP address, or at a socket
// file that only the gateway's own user may open and that is made again if it disappears.
//
// It imports none of ours.
package listen
