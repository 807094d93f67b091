// Package docs is the documents, of which the program has those that other programs
// read: the console serves them. The tests here hold all of them against the program.
//
// It imports none of ours.
package docs

import _ "embed"

// OpenAPI describes the management API and the callbacks (OpenAPI 3.1).
//
//go:embed openapi.yaml
var OpenAPI []byte

// AsyncAPI describes what clients and the gateway say to each other (AsyncAPI 3).
//
//go:embed asyncapi.yaml
var AsyncAPI []byte
