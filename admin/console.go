package admin

import (
	"embed"
	"io/fs"
	"path"

	"github.com/valyala/fasthttp"
)

// consolePath is where the operator's page is; its files lie below it.
const consolePath = "/console"

//go:embed console
var consoleTree embed.FS

// consoleFile is one of the page's files, as it is served.
type consoleFile struct {
	contentType string
	body        []byte
}

var consoleFiles = readConsole()

func readConsole() map[string]consoleFile {
	types := map[string]string{
		".html": "text/html; charset=utf-8",
		".css":  "text/css; charset=utf-8",
		".js":   "text/javascript; charset=utf-8",
		".svg":  "image/svg+xml",
	}
	entries, err := fs.ReadDir(consoleTree, "console")
	if err != nil {
		panic("BUG: the console is not in the program: " + err.Error())
	}
	files := make(map[string]consoleFile, len(entries))
	for _, e := range entries {
		body, err := consoleTree.ReadFile("console/" + e.Name())
		contentType := types[path.Ext(e.Name())]
		if err != nil || contentType == "" {
			panic("BUG: the console's file " + e.Name() + " cannot be served")
		}
		files[e.Name()] = consoleFile{contentType, body}
	}
	files[""] = files["index.html"]
	return files
}

// consolePolicy lets the page use its own files and the gateway's answers, and
// nobody frame it; there is nothing inline in it.
const consolePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// console serves the page's files. They are the same for everybody and hold no
// data: that the page asks for, with the token where there is one, as any other
// caller.
func (s *Server) console(ctx *fasthttp.RequestCtx, t target) outcome {
	if len(t.path) == len(consolePath) {
		setHead(ctx, textType)
		ctx.Response.Header.Set(fasthttp.HeaderLocation, consolePath+"/")
		ctx.Response.SetStatusCode(fasthttp.StatusPermanentRedirect)
		return served
	}
	file, ok := consoleFiles[string(t.path[len(consolePath)+1:])]
	if !ok {
		return answerRefusal(ctx, refusal{fasthttp.StatusNotFound, "the console has no such file"}, true)
	}
	h := &ctx.Response.Header
	h.Set(fasthttp.HeaderContentSecurityPolicy, consolePolicy)
	h.Set(fasthttp.HeaderReferrerPolicy, "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	return answer(ctx, file.contentType, file.body)
}
