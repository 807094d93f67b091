package report

// Promise is a figure that was promised, as it was measured.
type Promise struct {
	What     string
	Unit     string
	Median   float64
	Min      float64
	Promised float64
	Most     float64 // with the margin: above it the promise is broken
}

// Held reports whether the figure is within its margin. The best of the rounds
// decides: others on the machine make a figure worse, never better.
func (p Promise) Held() bool { return p.Min <= p.Most }

// Promises is a table of promises.
func Promises(all []Promise) string {
	rows := [][]string{{"check", "unit", "best", "median", "promised", "fails above", "verdict"}}
	for _, p := range all {
		verdict := "ok"
		if !p.Held() {
			verdict = "BROKEN"
		}
		rows = append(rows, []string{p.What, p.Unit, Number(p.Min), Number(p.Median), Number(p.Promised), Number(p.Most), verdict})
	}
	return layOut(rows, 2) + "\n"
}
