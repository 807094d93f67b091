package meta

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMetadataIsJSONByteForByte(t *testing.T) {
	s := New(40)
	for text, want := range map[string]string{
		`{"a":1.50,"b":[true,null]}`:        `{"a":1.50,"b":[true,null]}`,
		" \t{ \"a\" : 1 }\r\n":              `{ "a" : 1 }`,
		`"text"`:                            `"text"`,
		`12345678901234567890`:              `12345678901234567890`,
		`{"r":"räume \u00e4"}`:              `{"r":"räume \u00e4"}`,
		`null`:                              ``,
		` null `:                            ``,
		`"` + strings.Repeat("x", 38) + `"`: `"` + strings.Repeat("x", 38) + `"`,
	} {
		v, err := s.Parse(text)
		if err != nil || v.JSON() != want {
			t.Errorf("%q: %q, %v; want %q", text, v.JSON(), err, want)
		}
		if v != nil && v.Member() != `,"meta":`+want+`}` {
			t.Errorf("%q: %q", text, v.Member())
		}
	}
}

func TestWhatCannotBeMetadataIsRefusedWithAReason(t *testing.T) {
	s := New(1 << 10)
	s.SetDepth(3)
	for _, text := range []string{"", "lobby", "{", `{"a":1,}`, "\"\xff\"", `{"a":1} {}`, "NaN"} {
		if _, err := s.Parse(text); !errors.Is(err, ErrNotJSON) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{`[[[[]]]]`, `1e400`, `"\ud800"`} {
		if _, err := s.Parse(text); !errors.Is(err, errPortable) {
			t.Errorf("%q: %v", text, err)
		}
	}
	var limit *LimitError
	if _, err := s.Parse(`"` + strings.Repeat("x", 1<<10) + `"`); !errors.As(err, &limit) || *limit != (LimitError{1<<10 + 2, 1 << 10}) {
		t.Errorf("%v", err)
	}
}

func TestInAHeaderMetadataIsPercentEncoded(t *testing.T) {
	s := New(100)
	for field, want := range map[string]string{
		`{"room":"a, b","n":1}`:            `{"room":"a, b","n":1}`,
		`%7B%22r%22%3A%22r%C3%A4ume%22%7D`: `{"r":"räume"}`,
		`"100%25 a+b"`:                     `"100% a+b"`,
		`null`:                             ``,
	} {
		if v, err := s.ParseField(field); err != nil || v.JSON() != want {
			t.Errorf("%q: %q, %v", field, v.JSON(), err)
		}
	}
	for _, field := range []string{`"100%"`, `%zz`, `"%ff"`, `"` + "\xe4" + `"`, ``} {
		if v, err := s.ParseField(field); err == nil {
			t.Errorf("%q: %q", field, v.JSON())
		}
	}
}

// purse is a Budget.
type purse struct {
	sync.Mutex
	limit, used, reserved int64
}

func (p *purse) Reserve(n int64) bool {
	p.Lock()
	defer p.Unlock()
	if p.used+p.reserved+n > p.limit {
		return false
	}
	p.reserved += n
	return true
}

func (p *purse) Release(n int64) { p.Lock(); p.reserved -= n; p.Unlock() }
func (p *purse) Charge(n int64)  { p.Lock(); p.used += n; p.Unlock() }

func parse(t testing.TB, s *Store, text string) *Value {
	t.Helper()
	v, err := s.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestMetadataCountsInTheBudgetUntilItIsDropped(t *testing.T) {
	p := &purse{limit: 10_000}
	s := New(1 << 10)
	s.Use(p)
	small, large := parse(t, s, `1`), parse(t, s, `"`+strings.Repeat("x", 1000)+`"`)
	kept := uint64(0)
	for key := range uint64(100) {
		if err := s.Set(key, nil, large); errors.Is(err, ErrMemory) {
			break
		}
		kept++
	}
	if kept < 5 || kept > 10 {
		t.Errorf("%d of 1 KiB each are in 10,000 bytes", kept)
	}
	if s.Get(kept) != nil || s.Stats() != (Stats{int64(kept), p.used}) || p.used > p.limit {
		t.Errorf("%v of %v; used %d", s.Get(kept), s.Stats(), p.used)
	}
	if err := s.Set(0, nil, small); err != nil { // less than before always has room
		t.Error(err)
	}
	if err := s.Set(0, nil, large); err != nil || s.Get(0) != large {
		t.Error(err)
	}
	for key := range kept {
		if key%2 == 0 {
			s.Drop(key)
		} else if err := s.Set(key, nil, nil); err != nil {
			t.Error(err)
		}
	}
	if s.Stats() != (Stats{}) || p.used != 0 || p.reserved != 0 {
		t.Errorf("%+v %+v are left", s.Stats(), p)
	}
}

func TestOfTheChangesOfAConnectionTheLastHasTheHighestNumber(t *testing.T) {
	s := New(100)
	var mu sync.Mutex
	last := map[string]uint64{}
	values := map[string]*Value{}
	s.Changed = func(id []byte, number uint64, v *Value) {
		mu.Lock()
		defer mu.Unlock()
		if number > last[string(id)] {
			last[string(id)], values[string(id)] = number, v
		}
	}
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for i := range 500 {
				key := uint64(i % 7)
				v := parse(t, s, fmt.Sprint(n*1000+i))
				if i%5 == 0 {
					v = nil
				}
				s.Put(key, fmt.Append(nil, key), v)
			}
		})
	}
	all.Wait()
	for key := range uint64(7) {
		if got := values[fmt.Sprint(key)]; got != s.Get(key) {
			t.Errorf("%d: told last of %q, has %q", key, got.JSON(), s.Get(key).JSON())
		}
	}
}

func TestWhatAConnectionHasIsToldOnceMoreBehindItsLastChangeAndBeforeTheNext(t *testing.T) {
	s := New(100)
	var told []string
	s.Changed = func(id []byte, number uint64, v *Value) {
		told = append(told, fmt.Sprint(string(id), number, v.JSON()))
	}
	s.Put(1, []byte("a"), parse(t, s, "1"))
	s.Put(1, []byte("a"), parse(t, s, "2"))
	s.Repeat(1, []byte("a"))
	s.Repeat(2, []byte("b"))
	s.Put(1, []byte("a"), parse(t, s, "3"))
	if want := []string{"a11", "a22", "a22", "a33"}; fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", told, want)
	}
}

func TestWithoutMetadataNothingIsAllocated(t *testing.T) {
	var none *Store
	s := New(100)
	if n := testing.AllocsPerRun(100, func() {
		if none.Get(1) != nil || s.Get(1) != nil {
			t.Error("there is some")
		}
		none.Drop(1)
		s.Drop(1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzAValueIsJSONOrRefused(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, `%7B%7D`, `"%22"`, `null`, `%`} {
		f.Add(seed)
	}
	s := New(64)
	f.Fuzz(func(t *testing.T, field string) {
		v, err := s.ParseField(field)
		if err != nil || v == nil {
			return
		}
		if again, err := s.Parse(v.JSON()); err != nil || again.JSON() != v.JSON() || len(v.JSON()) > 64 {
			t.Errorf("%q: %q, %v", field, v.JSON(), err)
		}
	})
}
