// Package preflight looks whether a gateway could start: addresses, limits, files and
// the parts themselves. ws-gateway check reports what it finds; a start that has failed
// reports the failures, so that all of them can be mended at once.
//
// It may import gateway, config, host and the pure parts below internal, and admin/listen
// and forward/journal, whose listeners and folders it tries.
package preflight
