package scenario

import (
	"strings"
	"testing"

	"ws-gateway/bench/load"
	"ws-gateway/bench/sink"
)

// soaked is a soak of two hours in which nothing went wrong and nothing grew.
func soaked() *soak {
	k := &soak{
		watch:  watch{stage: new(stage)},
		cfg:    Soak{Conns: 2, Churners: 5, Pushed: 10},
		before: sample{app: sink.Stats{Groups: map[string]sink.Group{goodGroup: {Open: 2}, churnGroup: {Open: 5}}}},
		after:  sample{app: sink.Stats{Groups: map[string]sink.Group{goodGroup: {Open: 2}, churnGroup: {Open: 105, Close: 100}}}},
		pushed: new(load.Herd),
		series: make(map[string][][2]float64),
	}
	k.work = &work{soak: k}
	for _, w := range watchedOver {
		k.series[w.name] = series(func(float64) float64 { return 100 })
	}
	return k
}

func judged(k *soak) outcome {
	k.figures()
	k.judge()
	return k.outcome
}

func TestASoakIsJudgedByWhatGrowsAndByWhatWasTold(t *testing.T) {
	if o := judged(soaked()); len(o.broken) > 0 || len(o.curves) != len(watchedOver) || len(o.notes) > 0 {
		t.Fatalf("nothing was wrong: %v, %d curves, %v", o.broken, len(o.curves), o.notes)
	}
	grows := func(name string, perHour float64) func(*soak) {
		return func(k *soak) {
			k.series[name] = series(func(x float64) float64 { return 100 + perHour*x/3600 })
		}
	}
	for want, spoil := range map[string]func(*soak){
		"resident grew by 6.00 MiB":                       grows("resident", 6),
		"heap in use grew":                                grows("heap in use", 6),
		"descriptors beyond connections grew":             grows("descriptors beyond connections", 20),
		"goroutines grew":                                 grows("goroutines", 20),
		"told of 105 opened and 99 closed":                func(k *soak) { k.after.app.Groups[churnGroup] = sink.Group{Open: 105, Close: 99} },
		"10 of 10 pushed messages did not arrive":         func(k *soak) { k.work.calls = 1 },
		"1 connections were ended":                        func(k *soak) { k.work.heard.Ended = 1 },
		"of 3 attempts to come back 0 were refused and 1": func(k *soak) { k.work.churned = load.Gathering{Attempts: 3, Failed: 1} },
		"good clients":                                    func(k *soak) { k.count(load.Result{Failures: 1}) },
	} {
		k := soaked()
		spoil(k)
		if o := judged(k); len(o.broken) != 1 || !strings.Contains(o.broken[0], want) {
			t.Errorf("%q is not what is broken: %q", want, o.broken)
		}
	}
	for name, perHour := range map[string]float64{"resident": 3, "goroutines": 10, "connections": 1_000, "kernel slab, whole machine": 100} {
		k := soaked()
		grows(name, perHour)(k)
		if o := judged(k); len(o.broken) > 0 {
			t.Errorf("%s within the margin: %v", name, o.broken)
		}
	}
}

func TestAShortSoakHasNoDrift(t *testing.T) {
	k := soaked()
	for name := range k.series {
		k.series[name] = k.series[name][:3]
	}
	if o := judged(k); len(o.broken) > 0 || len(o.notes) == 0 || !strings.Contains(o.notes[0], "too short") {
		t.Errorf("broken %v, notes %v", o.broken, o.notes)
	}
}
