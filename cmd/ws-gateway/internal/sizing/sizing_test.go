package sizing

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestTheDefaultsFitEveryMemoryLimit(t *testing.T) {
	for limit := int64(96 * mebibyte); limit < 1<<40; limit += limit / 7 {
		fixed := limit / 100 * (limit % 7)
		p := Plan{Values: map[string]int64{}, Fixed: fixed}
		for i := range Budgets {
			value := Budgets[i].Default(limit)
			if value < mebibyte || Budgets[i].most > 0 && value > Budgets[i].most {
				t.Errorf("under %d MiB --%s is %d", limit/mebibyte, Budgets[i].Option, value)
			}
			p.Values[Budgets[i].Option] = value
		}
		p.Connections = Connections(limit, p.Beside())
		if sum := p.Idle() + p.Held(); sum > limit {
			t.Errorf("under %d MiB the defaults add up to %d MiB, %d connections among them", limit/mebibyte, sum/mebibyte, p.Connections)
		}
		if body := Body(limit); APIMemory(p.Values["api-memory"], body) > p.Values["api-memory"] {
			t.Errorf("under %d MiB a body of %d does not fit --api-memory of %d with what is made of it", limit/mebibyte, body, p.Values["api-memory"])
		}
		if p.KernelPart() > limit/10*6 {
			t.Errorf("under %d MiB the kernel may hold %d MiB", limit/mebibyte, p.KernelPart()/mebibyte)
		}
	}
}

func TestWhatIsToBeLoweredMakesThePlanFit(t *testing.T) {
	const limit = 512 * mebibyte
	defaults := func() map[string]int64 {
		values := map[string]int64{}
		for i := range Budgets {
			values[Budgets[i].Option] = Budgets[i].Default(limit)
		}
		return values
	}
	for _, test := range []struct {
		option string
		value  int64
		want   string
	}{
		{"outbox-memory", 300 * mebibyte, "outbox-memory"},
		{"callback-memory", 1 << 40, "callback-memory"},
		{"header-memory", 256 * mebibyte, "header-memory"},
		{"max-connections", 100_000, "max-connections"},
		{"max-connections", 10_000_000, "max-connections"},
	} {
		p := Plan{Connections: 20_000, Values: defaults()}
		if test.option == "max-connections" {
			p.Connections = int(test.value)
		} else {
			p.Values[test.option] = test.value
		}
		option, to := p.Largest(limit)
		if option != test.want {
			t.Errorf("%s=%d: lower %q", test.option, test.value, option)
			continue
		}
		if option == "max-connections" {
			p.Connections = int(to)
		} else {
			p.Values[option] = to
		}
		if sum := p.Idle() + p.Held(); sum > limit {
			t.Errorf("with %s=%d it adds up to %d MiB", option, to, sum/mebibyte)
		}
	}
	hopeless := Plan{Connections: 16, Values: defaults()}
	if option, to := hopeless.Largest(20 * mebibyte); option == "max-connections" {
		t.Errorf("under 20 MiB: %s=%d", option, to)
	}
}

func TestTheDocsReckonWithTheSameFigures(t *testing.T) {
	operations, err := os.ReadFile("../../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("Reckon %.1f KiB for each connection and %d MiB for the process: 100,000 connections are %d MiB.",
		float64(Connection)/1024, Process>>20, (Process+100_000*Connection)>>20)
	if !strings.Contains(string(operations), want) {
		t.Errorf("docs/operations.md does not say %q", want)
	}
}
