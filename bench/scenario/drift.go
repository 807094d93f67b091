package scenario

import "math"

// drift is where a value that was sampled over time goes in the second half of
// that time: the first half is for caches and slabs to fill.
type drift struct {
	perHour float64
	spread  float64 // two standard errors of perHour: 19 times in 20 the true drift is within it, if samples err independently
	hours   float64 // the second half
	level   float64 // mean there
}

// What the second half needs, to tell drift from noise and from warming up.
const (
	leastSamples = 5
	leastSeconds = 30
)

// driftOf fits a line by least squares to the second half of points, which are
// seconds and values. ok is false if that is too short.
func driftOf(points [][2]float64) (d drift, ok bool) {
	if len(points) == 0 {
		return d, false
	}
	middle := (points[0][0] + points[len(points)-1][0]) / 2
	for len(points) > 0 && points[0][0] < middle {
		points = points[1:]
	}
	n := float64(len(points))
	if n < leastSamples || points[len(points)-1][0]-points[0][0] < leastSeconds {
		return d, false
	}
	var x, y float64
	for _, p := range points {
		x, y = x+p[0]/n, y+p[1]/n
	}
	var xx, xy float64
	for _, p := range points {
		xx += (p[0] - x) * (p[0] - x)
		xy += (p[0] - x) * (p[1] - y)
	}
	slope, squares := xy/xx, 0.0
	for _, p := range points {
		off := p[1] - y - slope*(p[0]-x)
		squares += off * off
	}
	const hour = 3600
	return drift{
		perHour: slope * hour, spread: 2 * math.Sqrt(squares/(n-2)/xx) * hour,
		hours: (points[len(points)-1][0] - points[0][0]) / hour, level: y,
	}, true
}

// growth is by how much the value has surely grown in the second half, the
// spread taken off.
func (d drift) growth() float64 { return max(0, d.perHour-d.spread) * d.hours }
