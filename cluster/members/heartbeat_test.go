package members

import (
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"ws-gateway/cluster/packet"
)

var whole = Heartbeat{
	ID: id(1), Makes: id(1), Name: "gateway-1", Program: "1.2.3", Wire: 1, State: Draining, Up: 90 * time.Second,
	Told:        Told{Version: 300, Count: 2, Sum: math.MaxUint64},
	Connections: 4, Users: 3, Groups: 2, Loops: 8, Lag: 5 * time.Millisecond,
}

// Another version of the gateway must read these bytes.
const wholeHex = "0109676174657761792d310205312e322e33030101040102050390bf050602ac02070102080affffffffffffffffff010901040a01030b01020c01080d0105"

func TestAHeartbeatIsWrittenAndReadAsVersionOneDoes(t *testing.T) {
	f := whole.AppendFields(nil)
	if got := hex.EncodeToString(f); got != wholeHex {
		t.Errorf("written as %s, want %s", got, wholeHex)
	}
	if got, err := ReadHeartbeat(whole.ID, f); err != nil || got != whole {
		t.Errorf("read as %+v, %v", got, err)
	}
}

func TestTheIDsOfAnEarlierRunAreInAHeartbeatIfTheyAreNotItsOwn(t *testing.T) {
	h := Heartbeat{ID: id(2), Makes: id(1), Name: "a", Relays: true, Returns: time.Minute, Links: 3}
	if got, err := ReadHeartbeat(h.ID, h.AppendFields(nil)); err != nil || got != h {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ReadHeartbeat(id(2), packet.AppendField(packet.AppendField(nil, tagName, "a"), tagMakes, "short")); !errors.Is(err, ErrHeartbeat) {
		t.Error(err)
	}
}

func TestFieldsOfLaterVersionsAreSkippedAndThoseThatAreMissingZero(t *testing.T) {
	f := packet.AppendField(nil, tagName, "a")
	f = packet.AppendField(f, 200, "what is this")
	if got, err := ReadHeartbeat(id(1), f); err != nil || got != (Heartbeat{ID: id(1), Makes: id(1), Name: "a"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFieldsThatAreNoHeartbeatAreRefused(t *testing.T) {
	name := packet.AppendField(nil, tagName, "a")
	for what, f := range map[string]packet.Fields{
		"no name":                   nil,
		"a name that is too long":   packet.AppendField(nil, tagName, strings.Repeat("a", MaxName+1)),
		"a name with a line end":    packet.AppendField(nil, tagName, "a\nb"),
		"a name that is not UTF-8":  packet.AppendField(nil, tagName, "a\xff"),
		"a version with an escape":  packet.AppendField(name, tagProgram, "\x1b[2J"),
		"a number that is none":     packet.AppendField(name, tagUsers, "no number"),
		"a number with bytes after": packet.AppendField(name, tagUsers, "\x01\x01"),
	} {
		if got, err := ReadHeartbeat(id(1), f); !errors.Is(err, ErrHeartbeat) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
}

func TestNumbersThatAreTooLargeAreTheLargest(t *testing.T) {
	f := packet.AppendField(nil, tagName, "a")
	f = packet.AppendNumber(f, tagWire, 1000)
	f = packet.AppendNumber(f, tagUp, math.MaxUint64)
	got, err := ReadHeartbeat(id(1), f)
	if err != nil || got.Wire != math.MaxUint8 || got.Up <= 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzReadHeartbeat(f *testing.F) {
	f.Add([]byte(whole.AppendFields(nil)))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ReadHeartbeat(id(1), packet.Fields(b))
		if err != nil {
			return
		}
		if again, err := ReadHeartbeat(id(1), h.AppendFields(nil)); err != nil || again != h {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}
