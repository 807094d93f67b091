package budget

import "testing"

func TestABudgetTakesOneOfAnySizeAndNoMoreThanItsLimitOfOthers(t *testing.T) {
	var b Budget
	b.SetLimit(100)
	first, second, third := b.Reserve(), b.Reserve(), b.Reserve()
	if !first.Grow(60) || !first.Grow(500) {
		t.Error("alone it may not grow")
	}
	if second.Grow(1) {
		t.Error("another one grows in a budget that is full")
	}
	first.Keep(40)
	if !second.Grow(60) || third.Grow(1) || first.Grow(1) {
		t.Errorf("%d of 100 are used", b.used.Load())
	}
	first.Keep(70) // no more than it has
	first.Keep(0)
	first.Release()
	if _, used, refused := b.Counts(); !third.Grow(40) || used != 60 || refused != 3 {
		t.Errorf("%d of 100 were used, %d were refused", used, refused)
	}
	second.Release()
	third.Release()
	if _, used, _ := b.Counts(); used != 0 {
		t.Errorf("%d bytes stay", used)
	}
}
