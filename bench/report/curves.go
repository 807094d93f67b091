package report

import (
	"cmp"
	"slices"
	"sort"
)

// mostPoints bounds what a curve over rounds keeps.
const mostPoints = 150

// medianCurve is a curve over all rounds: at each x of the shortest of them the
// median of what the others have there, if all have something.
func medianCurve(rounds [][][2]float64) [][2]float64 {
	rounds = slices.DeleteFunc(rounds, func(points [][2]float64) bool { return len(points) == 0 })
	if len(rounds) == 0 {
		return nil
	}
	shortest := slices.MinFunc(rounds, func(a, b [][2]float64) int { return cmp.Compare(len(a), len(b)) })
	var curve [][2]float64
	for _, p := range thin(shortest, mostPoints) {
		var ys []float64
		for _, points := range rounds {
			if y, ok := valueAt(points, p[0]); ok {
				ys = append(ys, y)
			}
		}
		if len(ys) == len(rounds) {
			curve = append(curve, [2]float64{p[0], Median(ys)})
		}
	}
	return curve
}

// valueAt reads a curve at x, between its points on the straight line from one to
// the other.
func valueAt(points [][2]float64, x float64) (float64, bool) {
	i := sort.Search(len(points), func(i int) bool { return points[i][0] >= x })
	switch {
	case i == len(points):
		return 0, false
	case points[i][0] == x:
		return points[i][1], true
	case i == 0:
		return 0, false
	}
	a, b := points[i-1], points[i]
	return a[1] + (b[1]-a[1])*(x-a[0])/(b[0]-a[0]), true
}

// thin takes at most so many, the first and the last among them.
func thin[T any](all []T, most int) []T {
	if len(all) <= most {
		return all
	}
	kept := make([]T, most)
	for i := range kept {
		kept[i] = all[i*(len(all)-1)/(most-1)]
	}
	return kept
}
