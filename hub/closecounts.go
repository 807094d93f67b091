package hub

import (
	"fmt"
	"sync/atomic"

	"ws-gateway/forward"
)

// Initiators are the parties that can end a connection, as the app is told.
var Initiators = [...]string{"client", "app", "gateway", "network"}

// CloseCodes are the codes that Closes tells apart: 1000 to 1015 (RFC 6455, 7.4.1)
// one by one, the others by their range.
var CloseCodes = closeCodes()

const (
	firstCode = 1000
	codes     = 16 + 3 // 1000 to 1015, two ranges, what is left
)

func closeCodes() (names [codes]string) {
	for i := range 16 {
		names[i] = fmt.Sprint(firstCode + i)
	}
	names[16], names[17], names[18] = "3xxx", "4xxx", "other"
	return names
}

// Closes counts connections by who ended them and with which code. The indexes are
// those of Initiators and CloseCodes.
type Closes [len(Initiators)][codes]uint64

// closeCounters are Closes while they are counted.
type closeCounters [len(Initiators)][codes]atomic.Uint64

func (c *closeCounters) count(end forward.End) {
	code := codes - 1
	switch {
	case end.Code >= firstCode && end.Code < firstCode+16:
		code = end.Code - firstCode
	case end.Code/1000 == 3, end.Code/1000 == 4:
		code = 16 + end.Code/1000 - 3
	}
	for i, name := range Initiators {
		if name == end.Initiator {
			c[i][code].Add(1)
		}
	}
}

func (c *closeCounters) addTo(sum *Closes) {
	for i := range c {
		for code := range c[i] {
			sum[i][code] += c[i][code].Load()
		}
	}
}
