// Package console is the operator's page: its files, as they are served. They are the
// same for everybody and hold no data: the page's script asks the management API for
// that, as any other caller does.
//
// It imports docs, for the descriptions of what other programs may ask and hear.
package console

import (
	"embed"
	"path"

	"ws-gateway/docs"
)

// Policy is the page's Content-Security-Policy. It lets the page use its own files and
// the gateway's answers, and nobody frame it; nothing in it is inline.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

//go:embed *.html *.css *.js *.svg
var tree embed.FS

// File is one of the page's files.
type File struct {
	ContentType string
	Body        []byte
}

var files = read()

func read() map[string]File {
	types := map[string]string{
		".html": "text/html; charset=utf-8",
		".css":  "text/css; charset=utf-8",
		".js":   "text/javascript; charset=utf-8",
		".svg":  "image/svg+xml",
	}
	entries, err := tree.ReadDir(".")
	if err != nil {
		panic("BUG: the console is not in the program: " + err.Error())
	}
	files := map[string]File{ // as text, which browsers show
		"openapi.yaml":  {"text/plain; charset=utf-8", docs.OpenAPI},
		"asyncapi.yaml": {"text/plain; charset=utf-8", docs.AsyncAPI},
	}
	for _, e := range entries {
		body, err := tree.ReadFile(e.Name())
		contentType := types[path.Ext(e.Name())]
		if err != nil || contentType == "" {
			panic("BUG: the console's file " + e.Name() + " cannot be served")
		}
		files[e.Name()] = File{contentType, body}
	}
	files[""] = files["index.html"]
	return files
}

// Named returns the file with that name; the page itself has none. ok is false if there
// is no such file.
func Named(name string) (f File, ok bool) {
	f, ok = files[name]
	return f, ok
}
