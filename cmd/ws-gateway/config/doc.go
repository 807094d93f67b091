// Package config is the gateway's configuration: the table of all options (options.go),
// the command line with its help, the checks, and what the packages netpoll, hub,
// forward and admin take from it.
//
//	args, environment, file ──▶ Parser ──▶ Config ──▶ Forward, Hub, Netpoll, Admin
//
// [Parser.Parse] returns a valid Config or all mistakes at once. A Config knows where
// each value comes from (settings.Set), can be printed so that --config takes it, and
// can be read again for a reload ([Config.Reread]). Nothing here runs anything.
//
// It may import settings, host, locate, systemd, program (for the version), the pure parts
// below internal, and the four packages and httptoken for their Config and their checks.
// It does not import the client's commands: main hands them in.
package config
