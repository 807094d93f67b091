package report

import (
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestABarIsAsLongAsItsMedian(t *testing.T) {
	for median, want := range map[float64]string{10: `x="4.0" y="3" width="192.0"`, 5: `x="4.0" y="3" width="96.0"`, 0: `width="0.0"`} {
		got := string(bar(Line{Median: median, Values: []float64{median, 10}}, 7.5, 10))
		if !strings.Contains(got, want) || !strings.Contains(got, `M148.0 0`) || !strings.Contains(got, `cx="196.0"`) {
			t.Errorf("%v: got %s", median, got)
		}
	}
	if got := string(bar(Line{Median: -10, Values: []float64{-10}}, 0, -10)); !strings.Contains(got, `x="4.0" y="3" width="192.0"`) || strings.Contains(got, "path") {
		t.Errorf("what has shrunk: got %s", got)
	}
}

func TestNinesAreEquallyFarApart(t *testing.T) {
	s := newScale(tail, []float64{0, 100})
	step := s.at(99) - s.at(90)
	for _, p := range []float64{99, 99.9} {
		if next := s.at(100-(100-p)/10) - s.at(p); math.Abs(next-step) > 1e-6 {
			t.Errorf("from %v it is %v, from 90 %v", p, next, step)
		}
	}
	if s.at(0) != 0 || s.at(100) != 1 {
		t.Errorf("from %v to %v", s.at(0), s.at(100))
	}
}

func TestAxesNameTheirEnds(t *testing.T) {
	for _, c := range []struct {
		bend   bend
		values []float64
		want   []float64
	}{
		{linear, []float64{30, 40}, []float64{0, 10, 20, 30, 40}},
		{linear, []float64{-4}, []float64{-4, -3, -2, -1, 0}},
		{linear, nil, []float64{0, 0.25, 0.5, 0.75, 1}},
		{logarithmic, []float64{1, 10_000}, []float64{1, 10, 100, 1_000, 10_000}},
	} {
		got := newScale(c.bend, c.values).ticks()
		for i, v := range got {
			if len(got) != len(c.want) || math.Abs(v-c.want[i]) > 1e-9*math.Abs(v) {
				t.Errorf("%v: got %v, want %v", c.values, got, c.want)
				break
			}
		}
	}
}

// Attributes of geometry, and the numbers in them.
var (
	geometry = regexp.MustCompile(` (?:d|x|y|cx|cy|width|height|points)="([^"]*)"`)
	number   = regexp.MustCompile(`[^ ,MVH]+`)
)

func TestWhateverTheValuesThePictureHoldsThem(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	value := func() float64 {
		v := math.Pow(10, 30*random.Float64()-15)
		return []float64{v, v, v, -v, 0, 1e15, 1e-300}[random.IntN(7)]
	}
	for range 100 {
		lines := make([]curveLine, 1+random.IntN(looks))
		for i := range lines {
			lines[i].Rounds = [][][2]float64{{{value(), value()}, {value(), value()}}, {{value(), value()}}}
		}
		axis := []Axis{Percentile, Seconds, Connections}[random.IntN(3)]
		picture := string(drawCurves("title", axis, lines) + bar(Line{Median: value(), Values: []float64{value(), value()}}, value(), value()))
		for _, m := range geometry.FindAllStringSubmatch(picture, -1) {
			for _, word := range number.FindAllString(m[1], -1) {
				if v, err := strconv.ParseFloat(word, 64); err != nil || v < 0 || v > curveWidth {
					t.Fatalf("%q in %s of %+v", word, m[0], lines)
				}
			}
		}
	}
}
