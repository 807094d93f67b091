package sink

import (
	"fmt"
	"strings"
	"testing"

	"ws-gateway/bench/load"
)

func message(t *testing.T) *load.Message {
	t.Helper()
	m, err := load.Event(64)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// posted is the event of a message as the gateway POSTs it; more is what batches
// have besides.
func posted(m *load.Message, conn, seq uint32, id, more string) string {
	return `{"data":` + string(m.Append(nil, conn, seq)) + `,"action":"message","user_name":"user-1","conn_id":"` + id + `"` + more + `}`
}

// opened and closed are the open and the close of a connection, with what must not
// confuse who looks for their end.
func opened(id string) string {
	return `{"data":{},"action":"open","user_name":"a","conn_id":"` + id + `","request":{"uri":"/}\"{","origin":""}}`
}

func closed(id string) string {
	return `{"data":{},"action":"close","user_name":"a","conn_id":"` + id + `","code":1006,"reason":"}","initiator":"network"}`
}

// takes has a ledger take bodies that are right.
func takes(t *testing.T, l *ledger, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if err := l.body([]byte(body)); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
	}
}

func TestTheLedgerTakesWhatIsRight(t *testing.T) {
	m := message(t)
	var told []uint32
	l := ledger{message: m, received: func(conn uint32) { told = append(told, conn) }}
	takes(t, &l,
		opened("c"), opened("a"), posted(m, 2, 0, "c", ""), posted(m, 2, 1, "c", ""), posted(m, 0, 0, "a", ""), closed("c"), `[`+opened("b")+`]`,
		`[`+posted(m, 1, 0, "b", `,"request_id":"b-1"`)+`,`+opened("d")+`,`+posted(m, 1, 1, "b", `,"request_id":"b-2"`)+`,`+closed("b")+`]`,
	)
	if l.open != 4 || l.closed != 2 || l.messages != 5 || fmt.Sprint(told) != "[2 2 0 1 1]" {
		t.Errorf("%d open, %d messages, %d close, told of %v", l.open, l.messages, l.closed, told)
	}
}

func TestTheLedgerFindsWhatIsWrong(t *testing.T) {
	m := message(t)
	first := posted(m, 3, 0, "x", "")
	for name, c := range map[string]struct{ body, want string }{
		"lost":                     {posted(m, 3, 2, "x", ""), "message 2 of connection 3 came before those that precede it"},
		"doubled":                  {first, "message 0 of connection 3 came again"},
		"lost in a batch":          {`[` + posted(m, 3, 1, "x", "") + `,` + posted(m, 3, 3, "x", "") + `]`, "message 3 of connection 3 came before"},
		"misrouted":                {posted(m, 3, 1, "y", ""), "came from"},
		"another's from its first": {posted(m, 4, 0, "x", ""), "which is another's"},
		"before the open":          {posted(m, 4, 0, "z", ""), `before the open of "z"`},
		"opened twice":             {opened("x"), `"x" is a second open`},
		"closed before its open":   {closed("z"), `"z" came before the open`},
		"closed twice":             {`[` + closed("x") + `,` + closed("x") + `]`, `"x" came after the close`},
		"after the close":          {`[` + closed("x") + `,` + posted(m, 3, 1, "x", "") + `]`, "message 1 of connection 3 came after the close"},
		"changed":                  {strings.Replace(posted(m, 3, 1, "x", ""), "pad", "Pad", 1), "not what was sent"},
		"a changed mark":           {strings.Replace(posted(m, 3, 1, "x", ""), "00000003", "0000000G", 1), "not what was sent"},
		"no such connection":       {posted(m, 1<<31, 0, "z", ""), "which there is not"},
		"no conn_id":               {strings.Replace(posted(m, 3, 1, "x", ""), "conn_id", "conn", 1), "shape"},
		"an open without conn_id":  {strings.Replace(opened("z"), "conn_id", "conn", 1), "shape"},
		"another action":           {strings.Replace(posted(m, 3, 1, "x", ""), "message", "massage", 1), "shape"},
		"cut off":                  {first[:len(first)-1], "shape"},
		"cut off in the data":      {first[:40], "shape"},
		"an open cut off":          {strings.TrimSuffix(opened("z"), "}"), "shape"},
		"something after":          {posted(m, 3, 1, "x", "") + " ", "shape"},
		"nothing":                  {``, "shape"},
		"an empty batch":           {`[]`, "shape"},
		"a batch without end":      {`[` + posted(m, 3, 1, "x", ""), "shape"},
		"a batch without rest":     {`[` + posted(m, 3, 1, "x", "") + `,`, "shape"},
	} {
		t.Run(name, func(t *testing.T) {
			l := ledger{message: m}
			takes(t, &l, opened("x"), opened("y"), first)
			if err := l.body([]byte(c.body)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestTakingAMessageAllocatesNothing(t *testing.T) {
	m := message(t)
	l := ledger{message: m}
	takes(t, &l, opened("x"))
	seq := uint32(0)
	body := []byte(posted(m, 3, 0, "x", ""))
	at := len(`{"data":`)
	if n := testing.AllocsPerRun(100, func() {
		m.Append(body[:at], 3, seq)
		seq++
		if err := l.body(body); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
