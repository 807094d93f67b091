package admin

import (
	"bytes"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	profilePrefix = "/debug/pprof/"

	usualProfile   = 30 * time.Second
	longestProfile = 50 * time.Second // within longestWrite
)

// profiling is held while a CPU profile is taken: the runtime cannot take two at a time.
var profiling sync.Mutex

// profile answers with one of the Go runtime's profiles, in the format of go tool pprof:
// the CPU's over ?seconds=N under the name profile, as in net/http/pprof, and those that
// runtime/pprof knows by name, such as heap and goroutine. None of them contains arguments
// or environment, which may hold a token.
func (s *Server) profile(ctx *fasthttp.RequestCtx, t target) outcome {
	name := string(bytes.TrimPrefix(t.path, []byte(profilePrefix)))
	if name == "profile" {
		return s.profileCPU(ctx, t.query)
	}
	p := pprof.Lookup(name)
	if err := parameters(nil).check(t.query); p != nil && err != nil {
		return answerRefusal(ctx, refusal{fasthttp.StatusBadRequest, err.Error()}, true)
	}
	if p == nil {
		return answerRefusal(ctx, refusal{fasthttp.StatusNotFound, "no such profile; there are profile (of the processor), heap, allocs, goroutine, threadcreate, block, mutex"}, true)
	}
	var body bytes.Buffer
	if err := p.WriteTo(&body, 0); err != nil {
		return answerRefusal(ctx, refusal{fasthttp.StatusInternalServerError, "profile: " + err.Error()}, true)
	}
	return answer(ctx, binaryType, body.Bytes())
}

func (s *Server) profileCPU(ctx *fasthttp.RequestCtx, query []byte) outcome {
	duration := usualProfile
	if err := (parameters{{"seconds", false}}).check(query); err != nil {
		return answerRefusal(ctx, refusal{fasthttp.StatusBadRequest, err.Error()}, true)
	}
	var args fasthttp.Args
	args.ParseBytes(query)
	if text := args.Peek("seconds"); len(text) > 0 {
		seconds, err := strconv.ParseFloat(string(text), 64)
		if err != nil || !(seconds > 0 && seconds <= longestProfile.Seconds()) {
			return answerRefusal(ctx, refusal{fasthttp.StatusBadRequest, "seconds must be a number above 0, at most " + strconv.Itoa(int(longestProfile.Seconds()))}, true)
		}
		duration = time.Duration(seconds * float64(time.Second))
	}
	if !profiling.TryLock() {
		return answerRefusal(ctx, refusal{fasthttp.StatusConflict, "another profile of the processor is being taken"}, true)
	}
	defer profiling.Unlock()
	var body bytes.Buffer
	if err := pprof.StartCPUProfile(&body); err != nil {
		return answerRefusal(ctx, refusal{fasthttp.StatusConflict, err.Error()}, true)
	}
	s.wait(duration)
	pprof.StopCPUProfile()
	return answer(ctx, binaryType, body.Bytes())
}
