package interest

import "testing"

// Versions of the gateway beside each other must agree on these.
func TestHashesAndSumsAreTheSameInAllVersions(t *testing.T) {
	key := NewKey("chat")
	for _, c := range []struct {
		name string
		got  Hash
		want Hash
	}{
		{"user alice", key.User("alice"), 0x68435a6eea89e3},
		{"user of no name", key.User(""), 0x8cf576c012f77c},
		{"group alice", key.Group("alice"), 0xe007bc6dd74b97},
		{"group of 255 bytes", key.Group(string(make([]byte, 255))), 0xa977bb6f7661ee},
	} {
		if c.got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, c.got, c.want)
		}
	}
	if got, want := mix(0x123456789abcde), uint64(0x2681e145aa262b4d); got != want {
		t.Errorf("mix: %#x, want %#x", got, want)
	}
}

func TestAppsHaveDifferentHashes(t *testing.T) {
	one, other := NewKey("chat"), NewKey("shop")
	if one.User("alice") == other.User("alice") {
		t.Error("the same user has the same hash in two apps")
	}
}

func TestHashingAllocatesNothing(t *testing.T) {
	key, name := NewKey("chat"), "alice@example.org"
	var sum Hash
	if n := testing.AllocsPerRun(100, func() { sum += key.User(name) + key.Group(name) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHash(b *testing.B) {
	key := NewKey("chat")
	var sum Hash
	b.ReportAllocs()
	for b.Loop() {
		sum += key.User("alice@example.org")
	}
}
