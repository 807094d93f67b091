package interest

import (
	"encoding/hex"
	"errors"
	"reflect"
	"testing"
)

// The bytes that version 1 sends. Another version must read them.
var golden = []struct {
	name string
	m    Message
	hex  string
}{
	{"change", Message{Kind: Change, Version: 300, Come: hashesOf(0x01020304050607, 2), Gone: hashesOf(3)},
		"01" + "ac02" + "02" + "01020304050607" + "00000000000002" + "00000000000003"},
	{"change without hashes", Message{Kind: Change, Version: 1, Come: Hashes{}, Gone: Hashes{}}, "010100"},
	{"begin", Message{Kind: Begin, Version: 7}, "0207"},
	{"piece", Message{Kind: Piece, Come: hashesOf(0xffffffffffffff)}, "03ffffffffffffff"},
	{"empty piece", Message{Kind: Piece, Come: Hashes{}}, "03"},
	{"end", Message{Kind: End, Digest: Digest{Version: 8, Count: 300, Sum: 0x1122334455667788}}, "0408ac021122334455667788"},
}

func TestMessagesAreWrittenAndReadAsVersionOneDoes(t *testing.T) {
	for _, c := range golden {
		if got := hex.EncodeToString(c.m.Append(nil)); got != c.hex {
			t.Errorf("%s is written as %s, want %s", c.name, got, c.hex)
		}
		b, _ := hex.DecodeString(c.hex)
		if got, err := Parse(b); err != nil || !reflect.DeepEqual(got, c.m) {
			t.Errorf("%s is read as %+v, %v; want %+v", c.name, got, err, c.m)
		}
	}
}

func TestBytesThatAreNoMessageAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                     "",
		"unknown kind":                "0901",
		"no version":                  "01",
		"half a number":               "01ff",
		"number of 11 bytes":          "02ffffffffffffffffffff01",
		"fewer hashes than it says":   "01010100000000000002" + "00",
		"more hashes than memory has": "0101ffffffffffffffffff01",
		"half a hash":                 "0100" + "00" + "000000000001",
		"hash 0":                      "0300000000000000",
		"hash 0 that has gone":        "010100" + "00000000000000",
		"end without sum":             "0401021122",
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(name, err)
		}
		if m, err := Parse(b); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

func TestALaterVersionMayAddToBeginAndEnd(t *testing.T) {
	for _, text := range []string{"0207" + "0102", "0408ac021122334455667788" + "00"} {
		b, _ := hex.DecodeString(text)
		if _, err := Parse(b); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Whatever is read is written again as it was, except for what later versions add; and
// a Table takes it without harm.
func FuzzParse(f *testing.F) {
	for _, c := range golden {
		b, _ := hex.DecodeString(c.hex)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		again, err := Parse(m.Append(nil))
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
		table := NewTable(1, 100)
		table.mustApply(t, 5, Message{Kind: Begin, Version: m.Version - 1})
		_ = table.Apply(5, &m) // whatever it says, it must stay whole
		if got := len(table.told(5)); got != table.Entries() || uint64(got) != table.Digest(5).Count {
			t.Errorf("%d hashes, %d entries, digest %+v", got, table.Entries(), table.Digest(5))
		}
	})
}
