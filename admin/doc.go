// Package admin serves the management API.
package admin
