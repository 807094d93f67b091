// Package sizing adds up what a gateway may hold and fits it to a memory limit.
//
// Two kinds of memory are told apart: what connections cost by being there, and
// budgets, which bound what they may hold beside that, all together. Under a memory
// limit the budgets that nobody has set are shares of it, so that a gateway which is
// given no more than the limit stays below it whatever its clients do.
package sizing

import "cmp"

const mebibyte = 1 << 20

// What a gateway takes, the kernel's part included, which counts in a cgroup.
const (
	Process    = 32 * mebibyte // without connections
	Connection = 4608          // idle: what the README has for one (ws-bench idle), and about 4 KB for its socket
	Kernel     = 4096          // of these
	UsualHead  = 4096          // of its request head, which is kept and does not count in a budget
)

// Budget is one option that bounds memory, and where its default comes from.
type Budget struct {
	Option string
	share  int64 // of a memory limit, 1/share is its default
	most   int64 // and never more than this, which is the default without a limit; 0: no bound without a limit
	least  int64
	kernel bool // the kernel holds it
}

// Budgets are all of them.
var Budgets = []Budget{
	{Option: "header-memory", share: 16, most: 128 * mebibyte, least: mebibyte},
	{Option: "outbox-memory", share: 8, most: 256 * mebibyte, least: mebibyte},
	{Option: "message-memory", share: 16, most: 256 * mebibyte, least: mebibyte},
	{Option: "callback-memory", share: 8, most: 256 * mebibyte, least: mebibyte},
	{Option: "api-memory", share: 16, most: 128 * mebibyte, least: mebibyte},
	{Option: "socket-memory", share: 8, least: mebibyte, kernel: true},
}

// Default is the budget's default under a limit, 0 for none.
func (b *Budget) Default(limit int64) int64 {
	if limit == 0 {
		return b.most
	}
	value := max(limit/b.share/mebibyte*mebibyte, b.least)
	if b.most > 0 {
		value = min(value, b.most)
	}
	return value
}

// Body is the default of --max-api-body: a body, and the message and the targets that
// are made of it, fit the part of --api-memory that is for commands.
func Body(limit int64) int64 {
	for i := range Budgets {
		if b := &Budgets[i]; b.Option == "api-memory" {
			return min(b.Default(limit)/4, 16*mebibyte)
		}
	}
	panic("BUG: no --api-memory")
}

// SocketBuffer is the default of --socket-buffer, 0 without a limit: then the kernel
// grows it as it likes.
func SocketBuffer(limit int64) int64 {
	if limit == 0 {
		return 0
	}
	return bounded(limit, 8192, 32<<10, mebibyte)
}

// APIMemory is what management requests may hold: a quarter is for lists, and one
// command of any permitted size, with twice of it made of its body, has room in any case.
func APIMemory(option, body int64) int64 { return max(option, option/4+3*body) }

func bounded(limit, share, least, most int64) int64 {
	const grain = 4 << 10
	return min(max(limit/share/grain*grain, least), most)
}

// Connections is how many fit beside the default budgets and what no option sets, 0
// for no limit.
func Connections(limit, fixed int64) int {
	if limit == 0 {
		return 0
	}
	room := limit - Process - fixed
	for i := range Budgets {
		room -= Budgets[i].Default(limit)
	}
	return int(max(room/(Connection+UsualHead), 64))
}

// Plan is what a gateway may hold.
type Plan struct {
	Connections int
	Values      map[string]int64 // of the budgets, by option; one that is not there counts as 0
	Fixed       int64            // bounds that no option sets
}

// Idle is what the connections take while nothing happens.
func (p *Plan) Idle() int64 { return Process + int64(p.Connections)*Connection }

// Held is what they, and the budgets, may hold beside that.
func (p *Plan) Held() int64 {
	sum := p.Fixed + int64(p.Connections)*UsualHead
	for _, bytes := range p.Values {
		sum += bytes
	}
	return sum
}

// KernelPart is what the kernel may hold of all.
func (p *Plan) KernelPart() int64 {
	return int64(p.Connections)*Kernel + p.Values["socket-memory"]
}

// Largest is the option that is to be lowered first, and to what, so that the plan
// fits limit: the budget that is furthest above its share, or the connections. It is
// "" where nothing helps but more memory.
func (p *Plan) Largest(limit int64) (option string, to int64) {
	excess := p.Idle() + p.Held() - limit
	best := Budget{}
	var over int64
	for _, b := range Budgets {
		if above := p.Values[b.Option] - b.Default(limit); cmp.Compare(above, over) > 0 {
			best, over = b, above
		}
	}
	if over > 0 {
		return best.Option, max(best.Default(limit), (p.Values[best.Option]-excess)/mebibyte*mebibyte)
	}
	if fits := p.Connections - int((excess+Connection+UsualHead-1)/(Connection+UsualHead)); fits > 0 {
		return "max-connections", int64(fits)
	}
	return "", 0
}
