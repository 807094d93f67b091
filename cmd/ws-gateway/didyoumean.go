package main

import "strings"

// didYouMean ends a message about an unknown name: with the known name that is
// closest to it, or with nothing where none is close.
func didYouMean(name string, known []string) string {
	if best := closest(name, known); best != "" {
		return ", did you mean " + best + "?"
	}
	return ""
}

// closest is the known name that may have been meant; "" where none is close. What all
// names begin with makes none of them closer.
func closest(name string, known []string) string {
	best, bestDistance := "", 4
	for _, k := range known {
		if d := editDistance(name, k); d < bestDistance && d <= len(bare(k))/2 {
			best, bestDistance = k, d
		}
	}
	return best
}

// bare is the name of a flag or variable without what all of them begin with.
func bare(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, "--"), envName(""))
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
