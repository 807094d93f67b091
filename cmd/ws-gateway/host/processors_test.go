package host

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestOfFewProcessorsOneRunsGoCode(t *testing.T) {
	for name, c := range map[string]struct {
		has   Processors
		loops int
		want  Threads
	}{
		"one":                              {Processors{Online: 1, Runtime: 1}, 0, Threads{1, 1}},
		"two":                              {Processors{Online: 2, Runtime: 2}, 0, Threads{1, 1}},
		"two, one loop":                    {Processors{Online: 2, Runtime: 2}, 1, Threads{1, 1}},
		"two, and as many loops":           {Processors{Online: 2, Runtime: 2}, 2, Threads{2, 2}},
		"two, more loops":                  {Processors{Online: 2, Runtime: 2}, 4, Threads{2, 4}},
		"three":                            {Processors{Online: 3, Runtime: 3}, 0, Threads{3, 3}},
		"four, one loop":                   {Processors{Online: 4, Runtime: 4}, 1, Threads{4, 1}},
		"many":                             {Processors{Online: 384, Runtime: 384}, 0, Threads{384, 256}},
		"half a processor's time of many":  {Processors{Online: 64, Quota: 0.5, Runtime: 2}, 0, Threads{1, 1}},
		"one processor's time of many":     {Processors{Online: 64, Quota: 1, Runtime: 2}, 0, Threads{1, 1}},
		"the same, two loops":              {Processors{Online: 64, Quota: 1, Runtime: 2}, 2, Threads{2, 2}},
		"somewhat more":                    {Processors{Online: 64, Quota: 1.5, Runtime: 2}, 0, Threads{2, 2}},
		"six of many":                      {Processors{Online: 64, Quota: 6, Runtime: 6}, 0, Threads{6, 6}},
		"more than there are":              {Processors{Online: 2, Quota: 6, Runtime: 2}, 0, Threads{1, 1}},
		"two, and the environment says 2":  {Processors{Online: 2, Runtime: 2, Told: true}, 0, Threads{2, 2}},
		"two, and the environment says 1":  {Processors{Online: 2, Runtime: 1, Told: true}, 2, Threads{1, 2}},
		"four, and the environment says 3": {Processors{Online: 4, Runtime: 3, Told: true}, 0, Threads{3, 3}},
	} {
		if got := c.has.Use(c.loops); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestTheQuotaIsTheSmallestOfTheCgroupAndItsParents(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  float64
	}{
		"no cgroup":           {nil, 0},
		"none set":            {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 0},
		"a container's own":   {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5},
		"a unit's":            {map[string]string{"proc/self/cgroup": "0::/system.slice/a.service\n", "sys/fs/cgroup/system.slice/a.service/cpu.max": "50000 100000\n"}, 0.5},
		"its parent's":        {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "100000 100000\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, 1},
		"a path of the host":  {map[string]string{"proc/self/cgroup": "0::/../../pod\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2},
		"version 1":           {map[string]string{"proc/self/cgroup": "3:cpuset:/\n2:cpu,cpuacct:/docker/x\n0::/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "75000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 0.75},
		"version 1, none set": {map[string]string{"proc/self/cgroup": "1:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 0},
		"nothing sensible":    {map[string]string{"proc/self/cgroup": "0::/\nx\n", "sys/fs/cgroup/cpu.max": "many 0\n"}, 0},
		"a period of nothing": {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100 0\n"}, 0},
	} {
		root := fstest.MapFS{}
		for path, text := range c.files {
			root[path] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := quota(root); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestCheckSaysHowTheProcessorsAreUsed(t *testing.T) {
	for want, p := range map[string]Processors{
		"2; Go code runs on 1 at a time; event loops: 1; --loops=2 uses two":                                  {Online: 2, Runtime: 2},
		"64, of which the cgroup allows 1.5; Go code runs on 2 at a time; event loops: 2":                     {Online: 64, Quota: 1.5, Runtime: 2},
		"64, of which the cgroup allows 0.5; Go code runs on 1 at a time; event loops: 1; --loops=2 uses two": {Online: 64, Quota: 0.5, Runtime: 2},
	} {
		if f := p.judge(0); f.Message != want || f.Name != "processors" || strings.Contains(f.Message, "%!") {
			t.Errorf("got %+v, want %s", f, want)
		}
	}
}
