package check

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"ws-gateway/cmd/ws-gateway/internal/finding"
	"ws-gateway/cmd/ws-gateway/program"
)

var (
	good = finding.New("a", finding.OK, "is free", "")
	bad  = finding.New("b", finding.Fail, "<cannot> be written", "do this")
)

func TestTheReportIsATableOrJSON(t *testing.T) {
	var out strings.Builder
	p := program.Process{Stdout: &out}
	if code := show(&p, false, []finding.Finding{good, bad}, program.ExitUsage); code != program.ExitUsage {
		t.Errorf("exit code %d", code)
	}
	want := "ok    a                    is free\n" +
		"fail  b                    <cannot> be written\n" +
		"                           → do this\n\n1 ok, 0 warnings, 1 failure\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
	out.Reset()
	var r report
	if code := show(&p, true, []finding.Finding{good}, program.ExitUsage); code != program.ExitOK {
		t.Errorf("exit code %d", code)
	}
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil || !r.OK || len(r.Checks) != 1 || r.Checks[0].Name != "a" {
		t.Errorf("%+v, %v", r, err)
	}
}

type broken struct{ io.Writer }

func (broken) Write([]byte) (int, error) { return 0, errors.New("nobody reads") }

func TestAReportThatCannotBeWrittenIsAFailure(t *testing.T) {
	if code := show(&program.Process{Stdout: broken{}}, true, nil, program.ExitUsage); code != program.ExitFailure {
		t.Errorf("exit code %d", code)
	}
}
