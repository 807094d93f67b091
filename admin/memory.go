package admin

import (
	"ws-gateway/admin/budget"
	"ws-gateway/netpoll"
)

// memory is --api-memory. Commands count their bodies and the messages made of them, until
// every loop has sent its part; lists count while they are written. Each have a part of
// their own: lists that nobody reads leave commands theirs, and bodies that do not arrive
// leave lists theirs.
type memory struct {
	commands, lists budget.Budget
}

// listShare is the part of --api-memory for lists, 1/listShare.
const listShare = 4

// configure divides the memory, in bytes.
func (m *memory) configure(bytes int64) {
	m.lists.SetLimit(bytes / listShare)
	m.commands.SetLimit(bytes - bytes/listShare)
}

func (m *memory) stats() (sum netpoll.BudgetStats) {
	for _, part := range [...]*budget.Budget{&m.commands, &m.lists} {
		limit, used, refused := part.Counts()
		sum.Limit += limit
		sum.Used += used
		sum.GaveWay += refused
	}
	return sum
}
