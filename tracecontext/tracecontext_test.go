package tracecontext

import (
	"context"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	trace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	span   = "00f067aa0ba902b7"
	parent = "00-" + trace + "-" + span + "-01"
)

// The cases are those of the Recommendation, sections 3.2.2 and 3.2.4, and of the W3C's
// conformance tests.
func TestATraceparentIsUsedOrNotAsTheRecommendationSays(t *testing.T) {
	for value, want := range map[string]bool{
		parent:                                                true,
		"00-" + trace + "-" + span + "-00":                    true,
		"00-" + trace + "-" + span + "-ff":                    true, // flags that nobody knows
		"cc-" + trace + "-" + span + "-01":                    true, // a version to come
		"cc-" + trace + "-" + span + "-01-x":                  true,
		"cc-" + trace + "-" + span + "-01.x":                  false,
		parent + "-x":                                         false, // of version 00 there is no more
		parent + "-":                                          false,
		parent + ".":                                          false,
		"ff-" + trace + "-" + span + "-01":                    false,
		"0-" + trace + "-" + span + "-01":                     false,
		"0x-" + trace + "-" + span + "-01":                    false,
		"":                                                    false,
		"00":                                                  false,
		"00-" + trace + "-" + span:                            false,
		"00-" + trace + "-" + span + "-1":                     false,
		"00-" + trace + "-" + span + "-0x":                    false,
		"00_" + trace + "-" + span + "-01":                    false,
		"00-" + trace + "_" + span + "-01":                    false,
		"00-" + trace + "-" + span + "_01":                    false,
		"00-" + strings.ToUpper(trace) + "-" + span + "-01":   false,
		"00-" + trace + "-" + strings.ToUpper(span) + "-01":   false,
		"00-" + strings.Repeat("0", 32) + "-" + span + "-01":  false,
		"00-" + trace + "-" + strings.Repeat("0", 16) + "-01": false,
		"00-" + trace[1:] + "g-" + span + "-01":               false,
		"00-" + trace + "-" + span[1:] + ".-01":               false,
		" " + parent:                                          false,
		strings.Repeat("-", parentChars):                      false,
	} {
		if got := ValidParent(value); got != want || ValidParent([]byte(value)) != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}

func TestOfTheFlagsOnlySampledIsPassedOn(t *testing.T) {
	for flags, want := range map[string]string{"00": "00", "01": "01", "02": "00", "03": "01", "ff": "01", "fe": "00", "0a": "00", "0b": "01"} {
		kept := Kept("cc-" + trace + "-" + span + "-" + flags)
		if kept != "00-"+trace+"-"+noSpan+"-"+want {
			t.Errorf("%s: %s", flags, kept)
		}
	}
}

func TestATracestateIsPassedOnIfItIsAList(t *testing.T) {
	members := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, string(rune('a'+i%26))+string(rune('a'+i/26))+"=1")
		}
		return strings.Join(all, ",")
	}
	long := func(key string, n int) string { return key + "=" + strings.Repeat("v", n-len(key)-1) }
	for _, c := range []struct {
		values []string
		want   string
	}{
		{nil, ""},
		{[]string{""}, ""},
		{[]string{"foo=1"}, "foo=1"},
		{[]string{" foo=1 \t,\tbar= 2"}, "foo=1,bar= 2"},
		{[]string{"foo=1,,bar=2,"}, "foo=1,bar=2"},
		{[]string{"foo=1", "bar=2,baz=3"}, "foo=1,bar=2,baz=3"},
		{[]string{"foo@bar=1,0a-_*/@z9-_*/=2"}, "foo@bar=1,0a-_*/@z9-_*/=2"},
		{[]string{"a=~!@#$%^&*()_+-[]{}|:;<>?/."}, "a=~!@#$%^&*()_+-[]{}|:;<>?/."},
		{[]string{members(32)}, members(32)},
		{[]string{members(33)}, ""},
		{[]string{strings.Repeat("z", 256) + "=1"}, strings.Repeat("z", 256) + "=1"},
		{[]string{strings.Repeat("z", 257) + "=1"}, ""},
		{[]string{strings.Repeat("t", 241) + "@" + strings.Repeat("v", 14) + "=1"}, strings.Repeat("t", 241) + "@" + strings.Repeat("v", 14) + "=1"},
		{[]string{strings.Repeat("t", 242) + "@v=1"}, ""},
		{[]string{"t@" + strings.Repeat("v", 15) + "=1"}, ""},
		{[]string{"foo=1,foo=2"}, ""},
		{[]string{"foo=1", "foo=1"}, ""},
		{[]string{"foo"}, ""}, {[]string{"=1"}, ""}, {[]string{"foo="}, ""}, {[]string{"foo =1"}, ""}, {[]string{"FOO=1"}, ""}, {[]string{"foo.bar=1"}, ""},
		{[]string{"0foo=1"}, ""}, {[]string{"foo@=1"}, ""}, {[]string{"@foo=1"}, ""}, {[]string{"foo@@bar=1"}, ""}, {[]string{"foo@1bar=1"}, ""},
		{[]string{"foo=1=2"}, ""}, {[]string{"foo=\x7f"}, ""}, {[]string{"foo=ä"}, ""}, {[]string{"foo=\x01"}, ""}, {[]string{"foo=1,bar"}, ""},
		{[]string{long("a", 258)}, long("a", 258)},
		{[]string{long("a", 259)}, ""},
		{[]string{long("a", 200) + "," + long("b", 210) + "," + long("c", 100) + ",d=1"}, long("a", 200) + "," + long("c", 100) + ",d=1"}, // a long one goes, the last first
		{[]string{long("a", 128) + "," + long("b", 128) + "," + long("c", 128) + "," + long("d", 125)}, long("a", 128) + "," + long("b", 128) + "," + long("c", 128) + "," + long("d", 125)},
		{[]string{long("a", 128) + "," + long("b", 128) + "," + long("c", 128) + "," + long("d", 126)}, long("a", 128) + "," + long("b", 128) + "," + long("c", 128)},
	} {
		got := JoinState(c.values)
		if got != c.want {
			t.Errorf("%.80q: %.200q, want %.200q", c.values, got, c.want)
		}
	}
}

func TestEachEventHasASpanOfItsOwnTheSameEachTime(t *testing.T) {
	lines := Parent + ": " + Kept(parent) + "\r\n" + State + ": foo=1\r\nX-Other: 2\r\n"
	if !IsKept(lines) {
		t.Fatal(lines)
	}
	seen := map[string]bool{}
	for _, id := range []string{"c1-1", "c1-2", "c2-1", "c1-4294967295"} {
		filled := Filled(lines, []byte(id))
		line, rest, _ := strings.Cut(filled, "\r\n")
		value := strings.TrimPrefix(line, Parent+": ")
		if !ValidParent(value) || TraceID(value) != trace || !strings.HasSuffix(value, "-01") || !strings.HasSuffix(lines, rest) {
			t.Errorf("%s: %q", id, filled)
		}
		if seen[value] || value == parent {
			t.Errorf("%s has the span of another", id)
		}
		seen[value] = true
		if again := Filled(lines, []byte(id)); again != filled {
			t.Errorf("%s: %q, then %q", id, filled, again)
		}
		if Filled(filled, []byte("another")) != filled {
			t.Errorf("%s is filled twice", id)
		}
	}
	for _, other := range []string{"", "X-Tenant: 1\r\n", Parent + ": " + parent + "\r\n", lines[:20]} {
		if IsKept(other) || Filled(other, []byte("c1-1")) != other {
			t.Errorf("%q is changed", other)
		}
	}
}

func TestNothingIsAllocatedWithoutATrace(t *testing.T) {
	ctx, id, headers := context.Background(), []byte("c1-1"), "X-Tenant: 1\r\n"
	if n := testing.AllocsPerRun(100, func() {
		if From(ctx) != "" || Filled(headers, id) != headers || Filled("", id) != "" || IsKept(headers) || JoinState(nil) != "" {
			t.Error("there is one")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	lines := []byte(Parent + ": " + Kept(parent) + "\r\n")
	if n := testing.AllocsPerRun(100, func() { Fill(lines, id) }); n != 0 {
		t.Errorf("%v allocations to fill in a span", n)
	}
	if got := From(With(ctx, parent)); got != parent {
		t.Error(got)
	}
}

func FuzzWhatIsPassedOnIsValid(f *testing.F) {
	f.Add(parent, "foo=1,bar=2")
	f.Add("cc-"+trace+"-"+span+"-ff-x", "a@b=c,,")
	f.Fuzz(func(t *testing.T, value, state string) {
		if ValidParent(value) {
			filled := []byte(Parent + ": " + Kept(value) + "\r\n")
			Fill(filled, []byte(value))
			if got := string(filled[len(Parent)+2 : len(filled)-2]); !ValidParent(got) || got[:2] != "00" || len(got) != parentChars {
				t.Errorf("%q becomes %q", value, got)
			}
		}
		joined := JoinState([]string{state})
		if len(joined) > mostStateBytes || strings.ContainsAny(joined, "\r\n\x00") || JoinState([]string{joined}) != joined {
			t.Errorf("%q becomes %q", state, joined)
		}
	})
}
