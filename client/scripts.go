// Package client is the JavaScript client, for those who serve it to pages.
//
// It imports none of ours.
package client

import "embed"

// Scripts are its modules, in the folder src. A page imports index.js.
//
//go:embed src/*.js
var Scripts embed.FS
