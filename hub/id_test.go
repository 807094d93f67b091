package hub

import (
	"strings"
	"testing"

	"ws-gateway/netpoll"
)

func TestAnIDComesBackFromItsPublicForm(t *testing.T) {
	in := newInstance()
	for _, id := range []netpoll.ID{
		netpoll.MakeID(0, 0, 1),
		netpoll.MakeID(1, 7, 1<<32-1),
		netpoll.MakeID(netpoll.MaxLoops-1, netpoll.MaxSlots-1, 0x01020304),
	} {
		s := string(in.appendID(nil, id))
		if len(s) != idChars || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			t.Errorf("%x became %q", uint64(id), s)
		}
		if got, ok := in.parseID(s); !ok || got != id {
			t.Errorf("%x became %q and that %x, %v", uint64(id), s, uint64(got), ok)
		}
		if _, ok := newInstance().parseID(s); ok {
			t.Errorf("another instance takes %q for its own", s)
		}
		if got, ok := InstanceOf(s); !ok || got != in {
			t.Errorf("%q is said to be of instance %x, %v", s, got, ok)
		}
	}
}

func TestWhatIsNoPublicIDIsRefused(t *testing.T) {
	in := newInstance()
	good := string(in.appendID(nil, netpoll.MakeID(1, 2, 3)))
	wide := in
	for name, s := range map[string]string{
		"empty":                     "",
		"short":                     good[:23],
		"long":                      good + "A",
		"padded":                    good[:23] + "=",
		"line end inside":           good[:10] + "\n" + good[11:],
		"carriage return at end":    good[:23] + "\r",
		"standard alphabet":         good[:23] + "+",
		"not ASCII":                 good[:22] + "é",
		"generation 0":              string(in.appendID(nil, netpoll.MakeID(1, 2, 0))),
		"loop out of range":         idEncoding.EncodeToString(append(append([]byte(nil), wide[:]...), 1, 0, 0, 0, 0, 0, 0, 0, 0, 1)),
		"slot out of range":         idEncoding.EncodeToString(append(append([]byte(nil), wide[:]...), 0, 0, 1, 0, 0, 0, 0, 0, 0, 1)),
		"the right length, garbage": strings.Repeat("x", idChars),
	} {
		if id, ok := in.parseID(s); ok {
			t.Errorf("%s: %q was taken for %x", name, s, uint64(id))
		}
	}
}

func TestWritingAnIDAllocatesNothing(t *testing.T) {
	in := newInstance()
	buf := make([]byte, 0, idChars)
	if n := testing.AllocsPerRun(100, func() { buf = in.appendID(buf[:0], netpoll.MakeID(1, 2, 3)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseID(f *testing.F) {
	in := newInstance()
	good := string(in.appendID(nil, netpoll.MakeID(1, 2, 3)))
	f.Add(good)
	f.Add(good[:11] + "\n" + good[12:])
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := in.parseID(s)
		if ok && string(in.appendID(nil, id)) != s {
			t.Errorf("%q was taken for %x, which is written differently", s, uint64(id))
		}
		if !ok && id != 0 {
			t.Errorf("%q was refused, and yet %x", s, uint64(id))
		}
	})
}
