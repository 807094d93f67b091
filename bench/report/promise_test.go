package report

import "testing"

func TestAPromiseIsBrokenByTheBestRoundAboveItsMargin(t *testing.T) {
	all := []Promise{
		{What: "echo: reads", Min: 1.05, Median: 1.3, Promised: 1, Most: 1.05},
		{What: "idle: resident", Unit: "B", Min: 331, Median: 340, Promised: 300, Most: 330},
	}
	if !all[0].Held() || all[1].Held() {
		t.Errorf("held: %v, %v", all[0].Held(), all[1].Held())
	}
	const want = `  check           unit  best  median  promised  fails above  verdict
  ──────────────  ────  ────  ──────  ────────  ───────────  ───────
  echo: reads           1.05    1.30      1.00         1.05  ok
  idle: resident  B      331     340       300          330  BROKEN

`
	if got := Promises(all); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
