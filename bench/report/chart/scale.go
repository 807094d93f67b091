package chart

import (
	"math"
	"strconv"
	"strings"
)

// Scale says how values lie on an axis.
type Scale int

// The scales.
const (
	Linear Scale = iota // with 0 on it
	Log                 // for values above 0; others lie at its beginning
	Tail                // percentiles 0 to 100: 90, 99, 99.9 are equally far apart, 100 has a place of its own
)

// tick is a place on an axis, in pixels, with its label.
type tick struct {
	At    string
	Label string
}

// axis maps values to pixels.
type axis struct {
	scale    Scale
	lo, hi   float64 // as put by bend
	from, to float64 // pixels
	top      float64 // for Tail: the highest percentile below 100
}

func newAxis(scale Scale, values []float64, from, to float64) axis {
	a := axis{scale: scale, from: from, to: to}
	switch scale {
	case Tail:
		a.top = 90
		for _, v := range values {
			if v < 100 {
				a.top = max(a.top, v)
			}
		}
		a.hi = a.bend(100)
	case Log:
		a.lo, a.hi = math.Inf(1), math.Inf(-1)
		for _, v := range values {
			if v > 0 {
				a.lo, a.hi = min(a.lo, v), max(a.hi, v)
			}
		}
		if a.lo > a.hi {
			a.lo, a.hi = 1, 10
		}
		a.lo, a.hi = roundDown(a.lo), roundUp(a.hi)
		if a.lo == a.hi {
			a.hi = roundUp(1.5 * a.hi)
		}
		a.lo, a.hi = math.Log10(a.lo), math.Log10(a.hi)
	default:
		for _, v := range values {
			a.lo, a.hi = min(a.lo, v), max(a.hi, v)
		}
		if a.lo == a.hi {
			a.hi = 1
		}
		step := stepOf(a.hi - a.lo)
		a.lo, a.hi = math.Floor(a.lo/step)*step, math.Ceil(a.hi/step)*step
	}
	return a
}

// bend turns a value into what is linear in pixels.
func (a axis) bend(v float64) float64 {
	switch {
	case a.scale == Linear:
		return v
	case a.scale == Log && v <= 0:
		return a.lo
	case a.scale == Log:
		return math.Log10(v)
	case v >= 100:
		return -math.Log10(1-a.top/100) + 0.3
	default:
		return -math.Log10(1 - max(v, 0)/100)
	}
}

func (a axis) at(v float64) float64 {
	return a.from + (min(max(a.bend(v), a.lo), a.hi)-a.lo)/(a.hi-a.lo)*(a.to-a.from)
}

func (a axis) ticks() []tick {
	var all []tick
	add := func(v float64, label string) { all = append(all, tick{pixels(a.at(v)), label}) }
	switch a.scale {
	case Tail:
		add(0, "min")
		add(50, "50 %")
		for nines := 1; ; nines++ {
			p := 100 - math.Pow(10, float64(2-nines))
			if p > a.top+1e-9 || nines > 8 {
				break
			}
			add(p, strconv.FormatFloat(p, 'f', max(0, nines-2), 64)+" %")
		}
		add(100, "max")
	case Log:
		decades := max(1, math.Ceil((a.hi-a.lo)/6))
		for e := math.Floor(a.lo); e <= a.hi; e += decades {
			for _, m := range []float64{1, 2, 5} {
				v := m * math.Pow(10, e)
				if x := math.Log10(v); x < a.lo-1e-9 || x > a.hi+1e-9 || a.hi-a.lo > 2.5 && m > 1 {
					continue
				}
				add(v, Value(v))
			}
		}
	default:
		step := stepOf(a.hi - a.lo)
		for i := math.Round(a.lo / step); i <= math.Round(a.hi/step); i++ {
			add(i*step, Value(i*step))
		}
	}
	return all
}

// stepOf is the distance of ticks, 1, 2 or 5 times a power of ten, that divides
// span into about five.
func stepOf(span float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(span/5)))
	for _, m := range []float64{1, 2, 5} {
		if span/(m*power) <= 6 {
			return m * power
		}
	}
	return 10 * power
}

// roundDown and roundUp find the nearest 1, 2 or 5 times a power of ten.
func roundDown(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	best := power
	for _, m := range []float64{2, 5} {
		if m*power <= v*(1+1e-9) {
			best = m * power
		}
	}
	return best
}

func roundUp(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// Value writes a number as an axis does: as short as it can be, thousands
// separated.
func Value(v float64) string {
	text := strconv.FormatFloat(v, 'g', 6, 64)
	if strings.Contains(text, "e") && math.Abs(v) >= 1 {
		text = strconv.FormatFloat(v, 'f', 0, 64)
	}
	whole, rest, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-' && !strings.Contains(whole, "e"); i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest != "" {
		whole += "." + rest
	}
	return whole
}

// pixels writes a place in the picture.
func pixels(v float64) string {
	text := strconv.FormatFloat(v, 'f', 1, 64)
	return strings.TrimSuffix(text, ".0")
}
