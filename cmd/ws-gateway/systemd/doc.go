// Package systemd is what the gateway has to do with systemd: it notifies it of its
// state and pings the watchdog (sd_notify), and takes over listeners (socket
// activation). Without systemd both do nothing.
//
// It imports nothing of this module.
package systemd
