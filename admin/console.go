package admin

import (
	"github.com/valyala/fasthttp"

	"ws-gateway/admin/console"
)

// consolePath is where the operator's page is; its files are below it.
const consolePath = "/console"

// console serves the page's files.
func (s *Server) console(ctx *fasthttp.RequestCtx, t target) outcome {
	if len(t.path) == len(consolePath) {
		setHead(ctx, textType)
		ctx.Response.Header.Set(fasthttp.HeaderLocation, consolePath+"/")
		ctx.Response.SetStatusCode(fasthttp.StatusPermanentRedirect)
		return served
	}
	file, ok := console.Named(string(t.path[len(consolePath)+1:]))
	if !ok {
		return answerRefusal(ctx, refusal{fasthttp.StatusNotFound, "the console has no such file"}, true)
	}
	h := &ctx.Response.Header
	h.Set(fasthttp.HeaderContentSecurityPolicy, console.Policy)
	h.Set(fasthttp.HeaderReferrerPolicy, "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	return answer(ctx, file.ContentType, file.Body)
}
