package chart

import (
	"html/template"
	"slices"
	"unicode/utf8"
)

// Bar is a median, with the spread of what it is the median of.
type Bar struct {
	Name   string
	Label  string // the median in words
	Median float64
	Min    float64
	Max    float64
	Values []float64 // of the rounds
	Goal   float64   // 0: none
	Own    bool      // stands out
}

// Bars is a chart of horizontal bars from 0.
type Bars struct {
	ID          string // unique in the page
	Title       string
	Description string
	XName       string  // with the unit
	Mark        float64 // a line across all bars; 0: none
	MarkName    string
	Bars        []Bar
}

type drawnBar struct {
	Bar
	Short                 string
	Y, Text, Center, High string
	From, Wide            string
	Whisker               string
	Dots                  []string
	LabelX, LabelY        string
	GoalAt                string
}

type drawnBars struct {
	Bars
	Height                   int
	Left, Right, Top, Bottom string
	NameAt, TickAt, XNameAt  string
	Ticks                    []tick
	MarkAt                   string
	Drawn                    []drawnBar
}

const (
	rowHigh = 36.0
	barHigh = 18.0
)

// SVG draws the chart.
func (c Bars) SVG() template.HTML {
	values := []float64{c.Mark}
	room, label := 0, 0
	for _, b := range c.Bars {
		values = append(values, b.Min, b.Max, b.Median, b.Goal)
		room, label = max(room, utf8.RuneCountInString(short(b.Name))), max(label, utf8.RuneCountInString(b.Label))
	}
	top := 12.0
	if c.MarkName != "" {
		top = 24
	}
	left, right := 20+character*float64(room), width-18-character*float64(label)
	bottom := top + rowHigh*float64(len(c.Bars))
	x := newAxis(Linear, values, left, right)
	d := drawnBars{
		Bars: c, Height: int(bottom) + 46, Left: pixels(left), Right: pixels(right), Top: pixels(top), Bottom: pixels(bottom),
		NameAt: pixels(left - 8), TickAt: pixels(bottom + 17), XNameAt: pixels(bottom + 37), Ticks: x.ticks(),
	}
	if c.Mark != 0 {
		d.MarkAt = pixels(x.at(c.Mark))
	}
	for i, b := range c.Bars {
		d.Drawn = append(d.Drawn, b.draw(x, top+rowHigh*(float64(i)+0.5)))
	}
	return render("bars", d)
}

func (b Bar) draw(x axis, y float64) drawnBar {
	zero, end := x.at(0), x.at(b.Median)
	low, high := pixels(x.at(b.Min)), pixels(x.at(b.Max))
	d := drawnBar{
		Bar: b, Short: short(b.Name), Center: pixels(y), Y: pixels(y - barHigh/2), High: pixels(barHigh), Text: pixels(y + 4),
		From: pixels(min(zero, end)), Wide: pixels(max(zero, end) - min(zero, end)),
		Whisker: "M" + low + " " + pixels(y-5) + "v10M" + low + " " + pixels(y) + "H" + high + "M" + high + " " + pixels(y-5) + "v10",
		LabelX:  pixels(x.to + 10), LabelY: pixels(y + 4),
	}
	for _, v := range b.Values {
		d.Dots = append(d.Dots, pixels(x.at(v)))
	}
	if b.Goal > 0 {
		d.GoalAt = "M" + pixels(x.at(b.Goal)) + " " + pixels(y-barHigh/2-5) + "v" + pixels(barHigh+10)
	}
	return d
}

// Strip shows the rounds of one figure in a table's cell, from 0 to the largest
// of the values and the goal, which is a line across.
type Strip struct {
	Values []float64
	Goal   float64 // 0: none
	Words  string  // says the same
}

type drawnStrip struct {
	Strip
	Zero, GoalAt string
	Dots         []string
}

// SVG draws the strip.
func (s Strip) SVG() template.HTML {
	lo, hi := min(0, slices.Min(s.Values)), max(s.Goal, slices.Max(s.Values))
	if lo == hi {
		hi = 1
	}
	x := axis{lo: lo, hi: hi, from: 4, to: 116}
	d := drawnStrip{Strip: s, Zero: pixels(x.at(0))}
	for _, v := range s.Values {
		d.Dots = append(d.Dots, pixels(x.at(v)))
	}
	if s.Goal > 0 {
		d.GoalAt = pixels(x.at(s.Goal))
	}
	return render("strip", d)
}
