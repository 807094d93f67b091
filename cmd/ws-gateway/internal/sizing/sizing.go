// Package sizing adds up the memory that a gateway may need and fits it to a memory limit.
//
// There are two kinds of memory: what each connection costs while it is idle, and
// budgets, which bound what all connections together may hold beside that. Under a memory
// limit the budgets that are not set are shares of it, so that a gateway with defaults
// stays below the limit whatever its clients do. It imports nothing of this module.
package sizing

import "cmp"

const mebibyte = 1 << 20

// Memory that a gateway needs, the kernel's part included, as that counts in a cgroup.
const (
	Process    = 32 * mebibyte // the process without connections
	Connection = 4608          // idle: what the README has for one (ws-bench idle), and about 4 KB for its socket
	kernel     = 4096          // of these
	usualHead  = 4096          // of its request head, which is kept and does not count in a budget
)

// Budget is an option that bounds memory, and how its default follows from the limit.
type Budget struct {
	Option string
	share  int64 // of a memory limit, 1/share is its default
	most   int64 // and never more than this, which is the default without a limit; 0: no bound without a limit
	least  int64
	kernel bool // the kernel holds it
	asked  bool // it exists only if another option asks for it
}

// Budgets are all budgets.
var Budgets = []Budget{
	{Option: "header-memory", share: 16, most: 128 * mebibyte, least: mebibyte},
	{Option: "outbox-memory", share: 8, most: 256 * mebibyte, least: mebibyte},
	{Option: "message-memory", share: 16, most: 256 * mebibyte, least: mebibyte},
	{Option: "callback-memory", share: 8, most: 256 * mebibyte, least: mebibyte},
	{Option: "api-memory", share: 16, most: 128 * mebibyte, least: mebibyte},
	{Option: "group-memory", share: 64, most: 256 * mebibyte, least: mebibyte},
	{Option: "resume-memory", share: 64, most: 64 * mebibyte, least: mebibyte, asked: true},
	{Option: "cluster-buffer", share: 64, most: 16 * mebibyte, least: mebibyte, asked: true},
	{Option: "socket-memory", share: 8, least: mebibyte, kernel: true},
}

// Default is the budget's default under a limit; a limit of 0 is none.
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

// Body is the default of --max-api-body: a body, with the message and the targets that
// are made of it, fits into the part of --api-memory that is for commands.
func Body(limit int64) int64 {
	for i := range Budgets {
		if b := &Budgets[i]; b.Option == "api-memory" {
			return min(b.Default(limit)/4, 16*mebibyte)
		}
	}
	panic("BUG: no --api-memory")
}

// SocketBuffer is the default of --socket-buffer. Without a limit it is 0: the kernel
// decides.
func SocketBuffer(limit int64) int64 {
	if limit == 0 {
		return 0
	}
	return bounded(limit, 8192, 32<<10, mebibyte)
}

// APIMemory is what management requests may hold. A quarter of the option is for lists.
// One command of the largest size always has room, and what is made of its body, which
// is twice as much.
func APIMemory(option, body int64) int64 { return max(option, option/4+3*body) }

func bounded(limit, share, least, most int64) int64 {
	const grain = 4 << 10
	return min(max(limit/share/grain*grain, least), most)
}

// Connections is how many connections fit into limit, beside the default budgets and
// what else there is, which is Plan.Beside; 0 if there is no limit.
func Connections(limit, beside int64) int {
	if limit == 0 {
		return 0
	}
	room := limit - Process - beside
	for i := range Budgets {
		if b := &Budgets[i]; !b.asked {
			room -= b.Default(limit)
		}
	}
	return int(max(room/(Connection+usualHead), 64))
}

// Plan is the memory that a gateway may need.
type Plan struct {
	Connections int
	Values      map[string]int64 // of the budgets, by option; a missing one counts as 0
	Fixed       int64            // bounds that no option sets
}

// Beside is what all may hold together beside the budgets that are always there.
func (p *Plan) Beside() int64 {
	sum := p.Fixed
	for i := range Budgets {
		if b := &Budgets[i]; b.asked {
			sum += p.Values[b.Option]
		}
	}
	return sum
}

// Idle is the memory of the process with idle connections.
func (p *Plan) Idle() int64 { return Process + int64(p.Connections)*Connection }

// Held is what connections and budgets may hold beside that.
func (p *Plan) Held() int64 {
	sum := p.Fixed + int64(p.Connections)*usualHead
	for _, bytes := range p.Values {
		sum += bytes
	}
	return sum
}

// KernelPart is the kernel's part of all.
func (p *Plan) KernelPart() int64 {
	return int64(p.Connections)*kernel + p.Values["socket-memory"]
}

// Largest returns the option to lower first so that the plan fits limit, and its new
// value: the budget that is furthest above its share, or the number of connections. It
// returns "" if only more memory helps.
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
	if fits := p.Connections - int((excess+Connection+usualHead-1)/(Connection+usualHead)); fits > 0 {
		return "max-connections", int64(fits)
	}
	return "", 0
}
