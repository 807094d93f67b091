package report

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// element is what a page has of one kind.
type element struct {
	name       string
	attributes map[string]string
	text       string // of itself and all within it
	within     []string
}

// wellFormed parses a page by XML's rules, which are stricter than those of HTML,
// and returns its elements.
func wellFormed(t testing.TB, page string) []*element {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	var all, open []*element
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v, near %.300s", err, page[max(0, d.InputOffset()-200):])
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := &element{name: token.Name.Local, attributes: make(map[string]string)}
			for _, a := range token.Attr {
				if _, twice := e.attributes[a.Name.Local]; twice {
					t.Errorf("%s has two of %s", e.name, a.Name.Local)
				}
				e.attributes[a.Name.Local] = a.Value
			}
			for _, o := range open {
				e.within = append(e.within, o.name)
			}
			all, open = append(all, e), append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			for _, o := range open {
				o.text += string(token)
			}
		}
	}
	return all
}

// named are the elements of a name.
func named(all []*element, name string) []*element {
	return slices.DeleteFunc(slices.Clone(all), func(e *element) bool { return e.name != name })
}

func fullReport(t *testing.T) []Recording {
	return read(t, recorded("aaaaaaaaaaaa", append(withCurves(3), compared()...))+recorded("bbbbbbbbbbbb", withCurves(3)))
}

func TestThePageSaysWhatWasMeasured(t *testing.T) {
	all := wellFormed(t, pageOf(t, fullReport(t)))
	text := all[0].text
	for _, want := range []string{
		"aaaaaaaaa", "bbbbbbbbb", "2026-03-04 05:06", "ws-bench echo --rounds 5", "Linux", "6.18.0", "a processor", "2 processors",
		"24.0 GiB", "go1.26", "net.core.somaxconn", "4096", // the head
		"1 of 3 goals met", "≤ 12.5", "✓ met", "✗ missed", // cases of 12, 22 and 32 s, of the last version
		"99,988", "99.9", "latency, ms over percentile of messages", "resident, MiB over seconds since the round began", "100 connections",
		"Benchmarkecho/100_connections", "gorilla/websocket", "2.02 ×", "times ours",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func TestPicturesAreDescribed(t *testing.T) {
	all := wellFormed(t, pageOf(t, fullReport(t)))
	pictures := make(map[string]int)
	for _, e := range named(all, "svg") {
		pictures[e.attributes["class"]]++
		if !strings.Contains(e.text, " over ") && !strings.Contains(e.text, "rounds: ") {
			t.Errorf("a picture says only %q", e.text)
		}
	}
	const figures, goals, ratios = 2*3*2 + 3, 3, 2 // of two versions with three cases each, and of three servers
	if pictures["curves"] != 3 || pictures["bar"] != figures+goals+ratios {
		t.Errorf("got %v", pictures)
	}
}

func TestThePeerThatNeedsLeastComesFirst(t *testing.T) {
	all := compareAll(read(t, recorded("a", compared())))
	if len(all) != 1 || len(all[0].Ratios) != 2 || all[0].Ratios[0].Name != "C" || all[0].Version.Commit != "a" {
		t.Errorf("got %+v", all)
	}
}

func TestThePageNeedsNothingElse(t *testing.T) {
	page := pageOf(t, fullReport(t))
	for _, e := range wellFormed(t, page) {
		if slices.Contains([]string{"script", "link", "img", "image", "iframe", "object", "use", "base"}, e.name) {
			t.Errorf("there is a %s", e.name)
		}
		for name, value := range e.attributes {
			if name == "src" || name == "style" || strings.HasPrefix(name, "on") || name == "href" && !strings.HasPrefix(value, "#") {
				t.Errorf("%s has %s=%q", e.name, name, value)
			}
		}
	}
	for _, never := range []string{"http://", "https://", "@import", "url("} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %s", never)
		}
	}
}

func TestHostileNamesAreText(t *testing.T) {
	const evil = `</style><script>alert("1")</script><svg onload='x'>&amp;` + "\u202e\x1b[2J"
	all := withCurves(2)
	for i := range all {
		all[i].Scenario, all[i].Case = evil, all[i].Case+evil
		all[i].Notes, all[i].Broken = []string{evil}, []string{evil}
		for j := range all[i].Figures {
			all[i].Figures[j].Name, all[i].Figures[j].Unit = evil+all[i].Figures[j].Name, evil
		}
		for j := range all[i].Curves {
			all[i].Curves[j].Name, all[i].Curves[j].Unit = evil, evil
		}
	}
	of := compared()
	for i := range of {
		of[i].Scenario, of[i].Case, of[i].Figures[0].Name, of[i].Figures[0].Unit = evil, evil, evil, evil
		if of[i].Server != Ours {
			of[i].Server = evil
		}
	}
	recordings := read(t, recorded(evil, append(all, of...))+recorded("b", all))
	recordings[0].Run.Args = []string{"echo", evil}
	recordings[0].Run.Machine.CPU, recordings[0].Run.Machine.Sysctls = evil, map[string]string{evil: evil}

	page := pageOf(t, recordings)
	elements := wellFormed(t, page)
	for _, e := range elements {
		if e.name == "script" || e.attributes["onload"] != "" {
			t.Fatalf("a name became <%s>", e.name)
		}
	}
	if len(named(elements, "style")) != 1 || !strings.Contains(elements[0].text, `<script>alert("1")</script>`) {
		t.Error("the name is not there as text")
	}
	text := Text(recordings, comparisonOf(recordings))
	for _, never := range []string{"\x1b", "\u202e"} {
		if strings.Contains(page, never) || strings.Contains(text, never) {
			t.Errorf("%q came through", never)
		}
	}
}

func TestTheSameRunsMakeTheSamePage(t *testing.T) {
	first := pageOf(t, fullReport(t))
	for range 4 {
		if pageOf(t, fullReport(t)) != first {
			t.Fatal("two pages differ")
		}
	}
}

func TestCommandsCanBePastedIntoAShell(t *testing.T) {
	got := command([]string{"echo", "--gateway-arg=--callback-concurrency=8", "a b", "", "it's", "$HOME"})
	if want := `ws-bench echo --gateway-arg=--callback-concurrency=8 'a b' '' 'it'\''s' '$HOME'`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
