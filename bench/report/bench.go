package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// WriteBench writes the rounds of a version as go test prints benchmarks, for
// benchstat, which compares such files. Each figure is a unit. Machine and options
// are its configuration: rounds that differ in these are not compared.
func WriteBench(w io.Writer, all []Recording, v Version) error {
	var b strings.Builder
	for _, rec := range all {
		if rec.Run.Version() != v {
			continue
		}
		m := rec.Run.Machine
		fmt.Fprintf(&b, "machine: %s\noptions: %s\n", printable(strings.Join([]string{m.CPU, plural(m.CPUs, "processor"), m.Kernel, m.Go}, ", ")),
			printable(options(rec.Run.Args)))
		for _, r := range rec.Rounds {
			if len(r.Figures) == 0 {
				continue
			}
			fmt.Fprintf(&b, "Benchmark%s/%s 1", word(r.Scenario), word(r.Case))
			for _, f := range r.Figures {
				fmt.Fprintf(&b, " %v %s", f.Value, word(withUnit(f.Name, f.Unit)))
			}
			fmt.Fprintf(&b, " %v others,_%% %v steal,_%%\n", 100*r.Host.Others, 100*r.Host.Steal)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// word writes a name without what would divide it.
func word(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, name)
}

// options are a command's without what changes no figure: which binary it was,
// where the output went, how many rounds there were.
func options(args []string) string {
	var kept []string
	for i := 0; i < len(args); i++ {
		name, _, attached := strings.Cut(args[i], "=")
		if !slices.Contains([]string{"--json", "--gateway", "--rounds"}, name) {
			kept = append(kept, args[i])
		} else if !attached {
			i++
		}
	}
	return strings.Join(kept, " ")
}
