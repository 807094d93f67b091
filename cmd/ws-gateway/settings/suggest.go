package settings

import "strings"

// DidYouMean ends a message about an unknown name: with the known name that is
// closest to it, or with nothing if none is close.
func DidYouMean(name string, known []string) string {
	if best := closest(name, known); best != "" {
		return ", did you mean " + best + "?"
	}
	return ""
}

// closest is the known name that may have been meant; "" if none is close. A prefix
// that all names have does not count.
func closest(name string, known []string) string {
	best, bestDistance := "", 4
	for _, k := range known {
		if d := editDistance(name, k); d < bestDistance && d <= len(bare(k))/2 {
			best, bestDistance = k, d
		}
	}
	return best
}

// bare is the name of a flag or variable without the prefix that all of them have.
func bare(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, "--"), EnvName(""))
}

// editDistance counts the bytes to insert, delete or replace to get from a to b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
