package callback

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// parseRetryAfter reads the value of Retry-After, seconds or a date (RFC 9110 section
// 10.2.3); 0 if it says nothing.
func parseRetryAfter(value []byte, now time.Time) time.Duration {
	const limit = 24 * time.Hour
	if seconds, err := strconv.ParseUint(string(value), 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, limit)
	}
	date, err := fasthttp.ParseHTTPDate(value)
	if err != nil {
		return 0
	}
	return min(max(date.Sub(now), 0), limit)
}
