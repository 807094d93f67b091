package call

import (
	"math"
	"time"

	"ws-gateway/cluster/packet"
)

// ByeFields are the fields of a Bye. returns is for how long clients should wait for the
// sender's next run, which has its sessions; 0: it ends for good.
func ByeFields(returns time.Duration) packet.Fields {
	if returns < time.Millisecond {
		return nil
	}
	return packet.AppendNumber(nil, tagReturns, uint64(returns/time.Millisecond))
}

// ReadBye reads them.
func ReadBye(f packet.Fields) (returns time.Duration) {
	for tag, value := range f.All() {
		if n, ok := packet.Number(value); ok && tag == tagReturns {
			returns = time.Duration(min(n, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
		}
	}
	return returns
}
