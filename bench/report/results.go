package report

import (
	"cmp"
	"slices"
)

// Version is the code that was measured.
type Version struct {
	Commit string
	Dirty  bool // with changes that are not committed: two such may differ
}

// String shortens the commit as git does.
func (v Version) String() string {
	commit := cmp.Or(v.Commit, "unknown")
	commit = commit[:min(9, len(commit))]
	if v.Dirty {
		commit += " with changes"
	}
	return commit
}

// Version returns what the run measured.
func (r Run) Version() Version { return Version{r.Commit, r.Dirty} }

// Result is a case of one version over all rounds, in whichever runs they were.
type Result struct {
	Version Version
	Summary Summary
	Rounds  []Round
}

// sameCase reports whether both are of one case.
func (r Result) sameCase(o Result) bool {
	return r.Summary.Scenario == o.Summary.Scenario && r.Summary.Case == o.Summary.Case
}

// noted counts the remarks of one more round.
func noted(notes []Note, remarks []string) []Note {
	for _, text := range remarks {
		i := slices.IndexFunc(notes, func(n Note) bool { return n.Text == text })
		if i < 0 {
			i = len(notes)
			notes = append(notes, Note{Text: text})
		}
		notes[i].Rounds++
	}
	return notes
}

// Results puts the rounds of each case and version together. Scenarios, their cases
// and the versions of these stand in the order of their first appearance.
func Results(all []Recording) []Result {
	var results []Result
	for _, rec := range all {
		for _, r := range rec.Rounds {
			of := Result{Version: rec.Run.Version(), Summary: Summary{Scenario: r.Scenario, Case: r.Case}}
			i := slices.IndexFunc(results, func(o Result) bool { return o.Version == of.Version && o.sameCase(of) })
			if i < 0 {
				i = len(results)
				results = append(results, of)
			}
			results[i].Rounds = append(results[i].Rounds, r)
		}
	}
	for i, r := range results {
		results[i].Summary = Summarise(r.Rounds)
	}
	return inOrder(results)
}

// inOrder puts what belongs together beside each other.
func inOrder(results []Result) []Result {
	scenarios, cases := distinct(results, scenarioOf), distinct(results, caseOf)
	slices.SortStableFunc(results, func(a, b Result) int {
		return cmp.Or(
			cmp.Compare(slices.Index(scenarios, a.Summary.Scenario), slices.Index(scenarios, b.Summary.Scenario)),
			cmp.Compare(slices.Index(cases, a.Summary.Case), slices.Index(cases, b.Summary.Case)),
		)
	})
	return results
}

// distinct lists what key says of all, each once, in the order of first appearance.
func distinct[E any, K comparable](all []E, key func(E) K) (keys []K) {
	for _, one := range all {
		if k := key(one); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

func scenarioOf(r Result) string { return r.Summary.Scenario }
func caseOf(r Result) string     { return r.Summary.Case }

// Versions lists those of the recordings.
func Versions(all []Recording) []Version {
	return distinct(all, func(rec Recording) Version { return rec.Run.Version() })
}
