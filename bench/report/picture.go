package report

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
)

// Sizes of pictures, in pixels.
const (
	barWidth, barHeight     = 200, 16
	curveWidth, curveHeight = 700, 240
	curveLeft, curveBottom  = 60, 20 // room for the numbers on the axes
)

// looks is how many colours there are; curves with more lines say nothing.
const looks = 6

// bar draws a median from 0, its rounds as dots, and mark as a line across it. most
// is at the right end.
func bar(l Line, mark, most float64) template.HTML {
	x := newScale(linear, append([]float64{most, mark}, l.Values...))
	at := func(v float64) float64 { return 4 + x.at(v)*(barWidth-8) }
	var b strings.Builder
	zero, end := at(0), at(l.Median)
	fmt.Fprintf(&b, `<svg class="bar" viewBox="0 0 %d %d" width="%d" height="%d" role="img"><title>rounds:`, barWidth, barHeight, barWidth, barHeight)
	for _, v := range l.Values {
		b.WriteString(" " + Number(v))
	}
	fmt.Fprintf(&b, `</title><rect x="%.1f" y="3" width="%.1f" height="10"/>`, min(zero, end), math.Abs(end-zero))
	if mark > 0 {
		fmt.Fprintf(&b, `<path d="M%.1f 0V%d"/>`, at(mark), barHeight)
	}
	for _, v := range l.Values {
		fmt.Fprintf(&b, `<circle cx="%.1f" cy="8" r="2.4"/>`, at(v))
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

// curveLine is a case's curve in each of its rounds.
type curveLine struct {
	Name   string
	Look   int
	Rounds [][][2]float64
}

// drawCurves draws a line for each round. The upright axis is logarithmic if values are far
// apart. title describes the picture.
func drawCurves(title string, axis Axis, lines []curveLine) template.HTML {
	var xs, ys []float64
	for _, l := range lines {
		for _, p := range slices.Concat(l.Rounds...) {
			xs, ys = append(xs, p[0]), append(ys, p[1])
		}
	}
	xBend, yBend := linear, linear
	if axis == Percentile {
		xBend = tail
	}
	if low := slices.Min(ys); low > 0 && slices.Max(ys) > 20*low {
		yBend = logarithmic
	}
	x, y := newScale(xBend, xs), newScale(yBend, ys)
	atX := func(v float64) float64 { return curveLeft + x.at(v)*(curveWidth-curveLeft-30) }
	atY := func(v float64) float64 { return curveHeight - curveBottom - y.at(v)*(curveHeight-curveBottom-12) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="curves" viewBox="0 0 %d %d" role="img"><title>%s</title>`, curveWidth, curveHeight, template.HTMLEscapeString(title))
	for _, v := range y.ticks() {
		fmt.Fprintf(&b, `<path class="grid" d="M%d %.1fH%d"/><text class="end" x="%d" y="%.1f">%s</text>`,
			curveLeft, atY(v), curveWidth-30, curveLeft-6, atY(v)+4, Number(v))
	}
	for _, v := range x.ticks() {
		fmt.Fprintf(&b, `<text class="middle" x="%.1f" y="%d">%s</text>`, atX(v), curveHeight-4, percentile(axis, v))
	}
	for _, l := range lines {
		for _, points := range l.Rounds {
			var path []string
			for _, p := range points {
				path = append(path, fmt.Sprintf("%.1f,%.1f", atX(p[0]), atY(p[1])))
			}
			fmt.Fprintf(&b, `<polyline class="look%d" points="%s"/>`, l.Look, strings.Join(path, " "))
		}
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

// percentile writes a place on an axis. Three digits do not tell 99.99 from 100.
func percentile(axis Axis, v float64) string {
	if axis == Percentile {
		return fmt.Sprint(v)
	}
	return Number(v)
}

// scale maps values to 0 to 1, along what bend makes of them.
type scale struct {
	bend
	lo, hi float64 // bent
}

// bend makes values linear in the picture, and back undoes it.
type bend struct {
	of, back func(float64) float64
	ticks    []float64 // places that an axis names; nil: five equally far apart
}

var (
	linear      = bend{of: func(v float64) float64 { return v }, back: func(v float64) float64 { return v }}
	logarithmic = bend{of: math.Log10, back: func(v float64) float64 { return math.Pow(10, v) }}
	// tail has 90, 99, 99.9 and so on equally far apart, to 100, which is the largest.
	tail = bend{of: func(v float64) float64 { return -math.Log10(max(1-v/100, 1e-5)) }, ticks: []float64{0, 50, 90, 99, 99.9, 99.99, 100}}
)

// newScale is a scale on which all values lie, and 0 if it is linear.
func newScale(b bend, values []float64) scale {
	bent := make([]float64, len(values), len(values)+1)
	for i, v := range values {
		bent[i] = b.of(v)
	}
	if b.back == nil || b.back(0) == 0 {
		bent = append(bent, 0)
	}
	s := scale{b, slices.Min(bent), slices.Max(bent)}
	if s.lo == s.hi {
		s.hi++
	}
	return s
}

func (s scale) at(v float64) float64 { return min(max((s.of(v)-s.lo)/(s.hi-s.lo), 0), 1) }

func (s scale) ticks() []float64 {
	if s.bend.ticks != nil {
		return s.bend.ticks
	}
	var all []float64
	const steps = 4
	for i := range steps + 1 {
		all = append(all, s.back(s.lo+(s.hi-s.lo)*float64(i)/steps))
	}
	return all
}
