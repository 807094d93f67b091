package chart

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// written are the labels of an axis from 0 to 300 pixels, each with its place.
func written(scale Scale, values ...float64) string {
	var all []string
	for _, t := range newAxis(scale, values, 0, 300).ticks() {
		all = append(all, t.Label+"@"+t.At)
	}
	return strings.Join(all, " ")
}

func TestAxesHaveRoundNumbersAtTheirPlaces(t *testing.T) {
	for _, c := range []struct {
		scale  Scale
		values []float64
		want   string
	}{
		{Linear, []float64{30}, "0@0 5@50 10@100 15@150 20@200 25@250 30@300"},
		{Linear, []float64{-1, 2}, "-1@0 -0.5@50 0@100 0.5@150 1@200 1.5@250 2@300"},
		{Linear, []float64{11_000}, "0@0 2,000@50 4,000@100 6,000@150 8,000@200 10,000@250 12,000@300"},
		{Linear, []float64{0}, "0@0 0.2@60 0.4@120 0.6@180 0.8@240 1@300"},
		{Linear, []float64{-379, 0}, "-400@0 -300@75 -200@150 -100@225 0@300"},
		{Linear, nil, "0@0 0.2@60 0.4@120 0.6@180 0.8@240 1@300"},
		{Log, []float64{1, 1_000}, "1@0 10@100 100@200 1,000@300"},
		{Log, []float64{1.1, 9}, "1@0 2@90.3 5@209.7 10@300"},
		{Log, []float64{1e-9, 1e9}, "1e-09@0 1e-06@50 0.001@100 1@150 1,000@200 1,000,000@250 1,000,000,000@300"},
		{Log, []float64{2}, "2@0 5@300"},
		{Log, []float64{-1, 0}, "1@0 2@90.3 5@209.7 10@300"},
		{Tail, []float64{0, 50, 99, 100}, "min@0 50 %@39.3 90 %@130.4 99 %@260.9 max@300"},
		{Tail, []float64{50}, "min@0 50 %@69.5 90 %@230.8 max@300"},
	} {
		if got := written(c.scale, c.values...); got != c.want {
			t.Errorf("scale %d of %v:\n got %s\nwant %s", c.scale, c.values, got, c.want)
		}
	}
}

func TestNinesAreEquallyFarApart(t *testing.T) {
	a := newAxis(Tail, []float64{99.999}, 0, 1_000)
	step := a.at(99) - a.at(90)
	for _, p := range []float64{99, 99.9} {
		if next := a.at(100-(100-p)/10) - a.at(p); math.Abs(next-step) > 1e-6 {
			t.Errorf("from %v it is %v pixels, from 90 %v", p, next, step)
		}
	}
	if a.at(100) != 1_000 || a.at(0) != 0 {
		t.Errorf("from %v to %v", a.at(0), a.at(100))
	}
}

func TestLabelsDoNotCoverEachOther(t *testing.T) {
	got := apart([]float64{50, 52, 10, 99}, 0, 100)
	want := []float64{50, 65, 10, 99}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	got = apart([]float64{99, 98, 97}, 0, 100)
	if fmt.Sprint(got) != fmt.Sprint([]float64{100, 85, 70}) {
		t.Errorf("at the bottom: got %v", got)
	}
}

func TestLinesThatEndTogetherHaveTheirNamesApart(t *testing.T) {
	points := [][2]float64{{0, 1}, {1, 1}}
	picture := string(Lines{Lines: []Line{{Name: "a", Points: points}, {Name: "b", Points: points, Look: 1}}}.SVG())
	places := regexp.MustCompile(`class="label" x="[0-9.]+" y="([0-9.]+)"`).FindAllStringSubmatch(picture, -1)
	if len(places) != 2 || places[0][1] == places[1][1] {
		t.Errorf("got %v", places)
	}
}

func TestLongNamesAreCutAndToldInFull(t *testing.T) {
	name := strings.Repeat("long name ", 10)
	picture := string(Bars{Bars: []Bar{{Name: name}}}.SVG()) + string(Lines{Lines: []Line{{Name: name, Points: [][2]float64{{0, 0}}}}}.SVG())
	if strings.Count(picture, "<title>"+name+"</title>") != 2 || !strings.Contains(picture, "long …</text>") {
		t.Errorf("got %s", picture)
	}
}

// Attributes of geometry, and what is in them.
var (
	geometry = regexp.MustCompile(` (?:d|x|y|cx|cy|width|height)="([^"]*)"`)
	words    = regexp.MustCompile(`[-a-zA-Z]?[0-9.]+|[a-zA-Z]{2,}`)
)

func TestWhateverTheValuesThePictureHoldsThem(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	value := func() float64 {
		v := math.Pow(10, 30*random.Float64()-15)
		return []float64{v, v, v, -v, 0, 1e15, 1e-300}[random.IntN(7)]
	}
	for range 30 {
		l := Lines{XScale: Scale(random.IntN(3)), YScale: Scale(random.IntN(2)), Lines: make([]Line, 1+random.IntN(8))}
		b := Bars{Mark: value(), MarkName: "m"}
		for i := range l.Lines {
			l.Lines[i].Look = i
			for range random.IntN(4) {
				l.Lines[i].Points = append(l.Lines[i].Points, [2]float64{value(), value()})
			}
			b.Bars = append(b.Bars, Bar{Median: value(), Min: value(), Max: value(), Values: []float64{value()}, Goal: value()})
		}
		strip := Strip{Values: []float64{value(), value()}, Goal: value()}
		for _, picture := range []string{string(l.SVG()), string(b.SVG()), string(strip.SVG())} {
			for _, m := range geometry.FindAllStringSubmatch(picture, -1) {
				for _, word := range words.FindAllString(m[1], -1) {
					v, err := strconv.ParseFloat(strings.TrimLeft(word, "mMhHvVlLaAzZ"), 64)
					if err != nil || math.Abs(v) > width+1 {
						t.Fatalf("%q in %s of %+v", word, m[0], []any{l, b, strip})
					}
				}
			}
		}
	}
}

func TestNumbersOnAxesAreShort(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.5: "0.5", 0.3 * 3: "0.9", 1e-7: "1e-07", 12_000: "12,000", -1_234_567: "-1,234,567", 1e6: "1,000,000", 1e15: "1,000,000,000,000,000", 99.9023437: "99.9023",
	} {
		if got := Value(v); got != want {
			t.Errorf("%v: got %s, want %s", v, got, want)
		}
	}
}
