package chart

import (
	"html/template"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Line is one line of Lines.
type Line struct {
	Name   string
	Points [][2]float64 // x ascends
	Look   int          // lines of the same look have a colour and a marker in common
	Dashed bool
}

// Lines is a chart of lines, each with its name at its end.
type Lines struct {
	ID             string // unique in the page
	Title          string
	Description    string // says in words what is to be seen
	XName, YName   string // with units
	XScale, YScale Scale
	Lines          []Line
}

// Looks is how many looks there are; a chart with more lines says nothing.
const Looks = 6

// Sizes in pixels, of text as wide as it usually is.
const (
	width     = 760
	plotTop   = 34.0
	plotHigh  = 240.0
	character = 7.2
	lineHigh  = 15.0
	longest   = 46 // characters of a label
)

type drawnLine struct {
	Class, Path string
	Markers     []string
	Name, Full  string
	LabelX      string
	LabelY      string
	Leader      string
}

type drawnLines struct {
	Lines
	Height                   int
	Left, Right, Top, Bottom string
	XTicks, YTicks           []tick
	XNameAt, TickAt          string
	Drawn                    []drawnLine
}

// SVG draws the chart.
func (c Lines) SVG() template.HTML {
	var xs, ys []float64
	room := 0
	for _, l := range c.Lines {
		room = max(room, utf8.RuneCountInString(short(l.Name)))
		for _, p := range l.Points {
			xs, ys = append(xs, p[0]), append(ys, p[1])
		}
	}
	left, right := 62.0, width-26-character*float64(room)
	bottom := plotTop + plotHigh
	x := newAxis(c.XScale, xs, left, right)
	y := newAxis(c.YScale, ys, bottom, plotTop)
	d := drawnLines{
		Lines: c, Height: int(bottom) + 46,
		Left: pixels(left), Right: pixels(right), Top: pixels(plotTop), Bottom: pixels(bottom),
		XTicks: x.ticks(), YTicks: y.ticks(), TickAt: pixels(bottom + 17), XNameAt: pixels(bottom + 37),
	}
	var ends []float64
	for _, l := range c.Lines {
		end := bottom
		if len(l.Points) > 0 {
			end = y.at(l.Points[len(l.Points)-1][1])
		}
		ends = append(ends, end)
	}
	labels := apart(ends, plotTop, bottom)
	for i, l := range c.Lines {
		one := l.draw(x, y)
		one.LabelX, one.LabelY = pixels(right+16), pixels(labels[i]+4)
		if l.Name != "" {
			one.Leader = "M" + pixels(right+3) + " " + pixels(ends[i]) + "L" + pixels(right+13) + " " + pixels(labels[i])
		}
		d.Drawn = append(d.Drawn, one)
	}
	return render("lines", d)
}

func (l Line) draw(x, y axis) drawnLine {
	d := drawnLine{Class: "look" + string(rune('0'+l.Look%Looks)), Name: short(l.Name), Full: l.Name}
	if l.Dashed {
		d.Class += " dashed"
	}
	var path strings.Builder
	marked := math.Inf(-1)
	for i, p := range l.Points {
		px, py := x.at(p[0]), y.at(p[1])
		// The maximum is one message and no percentile: no line leads to it.
		apart := x.scale == Tail && p[0] >= 100
		switch {
		case apart:
		case i == 0:
			path.WriteString("M" + pixels(px) + " " + pixels(py))
		default:
			path.WriteString("L" + pixels(px) + " " + pixels(py))
		}
		if apart || px-marked >= 60 || i == len(l.Points)-1 {
			d.Markers = append(d.Markers, marker(l.Look, px, py))
			marked = px
		}
	}
	d.Path = path.String()
	return d
}

// marker is the path of a small shape.
func marker(look int, x, y float64) string {
	at := "M" + pixels(x) + " " + pixels(y)
	switch look % Looks {
	case 0:
		return at + "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z"
	case 1:
		return at + "m-3-3h6v6h-6z"
	case 2:
		return at + "m0-4l4 7h-8z"
	case 3:
		return at + "m0-4l4 4l-4 4l-4-4z"
	case 4:
		return at + "m0 4l4-7h-8z"
	default:
		return at + "m-1-4h2v3h3v2h-3v3h-2v-3h-3v-2h3z"
	}
}

// apart moves labels so that none covers another and all stay between top and
// bottom as far as there is room.
func apart(wanted []float64, top, bottom float64) []float64 {
	order := make([]int, len(wanted))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case wanted[a] < wanted[b]:
			return -1
		case wanted[a] > wanted[b]:
			return 1
		default:
			return 0
		}
	})
	placed := slices.Clone(wanted)
	next := top
	for _, i := range order {
		placed[i] = max(placed[i], next)
		next = placed[i] + lineHigh
	}
	limit := bottom
	for _, i := range slices.Backward(order) {
		placed[i] = min(placed[i], limit)
		limit = placed[i] - lineHigh
	}
	return placed
}

// short cuts a label that is too long.
func short(name string) string {
	if runes := []rune(name); len(runes) > longest {
		return string(runes[:longest-1]) + "…"
	}
	return name
}
