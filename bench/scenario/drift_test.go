package scenario

import (
	"math"
	"math/rand/v2"
	"testing"
)

// series samples f every ten seconds for two hours.
func series(f func(seconds float64) float64) (points [][2]float64) {
	for x := 0.0; x <= 7200; x += 10 {
		points = append(points, [2]float64{x, f(x)})
	}
	return points
}

func TestDriftIsThatOfTheSecondHalf(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	noise := func() float64 { return random.Float64()*2 - 1 }
	warm := func(x float64) float64 { return 100 * min(1, x/3000) } // grows for 50 minutes, then no more
	for name, c := range map[string]struct {
		value           func(x float64) float64
		perHour, growth float64
	}{
		"constant":             {func(float64) float64 { return 7 }, 0, 0},
		"warming up":           {warm, 0, 0},
		"a leak":               {func(x float64) float64 { return warm(x) + 5*x/3600 }, 5, 5},
		"noise":                {func(float64) float64 { return 50 + noise() }, 0, 0},
		"a leak under noise":   {func(x float64) float64 { return 50 + 5*x/3600 + noise() }, 5, 5},
		"shrinking":            {func(x float64) float64 { return 50 - 5*x/3600 }, -5, 0},
		"a sawtooth of 5 mins": {func(x float64) float64 { return 10 + math.Mod(x, 300)/100 }, 0, 0},
	} {
		d, ok := driftOf(series(c.value))
		if !ok || math.Abs(d.hours-1) > 0.01 || math.Abs(d.perHour-c.perHour) > d.spread*1.5+0.1 || math.Abs(d.growth()-c.growth) > 0.6 {
			t.Errorf("%s: %+v, grown by %v, %v", name, d, d.growth(), ok)
		}
	}
}

func TestTooFewSamplesHaveNoDrift(t *testing.T) {
	for _, points := range [][][2]float64{nil, {{0, 1}}, {{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 6}}, {{3, 1}, {3, 2}, {3, 3}, {3, 4}, {3, 5}, {3, 6}},
		series(func(x float64) float64 { return x })[:6]} {
		if d, ok := driftOf(points); ok {
			t.Errorf("%v: %+v", points, d)
		}
	}
}
