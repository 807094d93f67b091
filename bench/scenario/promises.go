package scenario

// promises are the ratios whose regression must be noticed, as measured on two
// processors; lower one here when it has become better. The margin
// covers how far the best of three rounds moved on a machine that others kept
// busy. Reads and writes do not depend on the machine; epoll_wait, futex and
// sleeps for a message do: the busier a server, the more one wake-up brings.
var promises = []struct {
	of, figure string
	promised   float64
	margin     float64 // factor
}{
	{idleRatios, "resident, each", 300, 1.1},
	{idleRatios, "descriptors, each", 1, 1.001},

	{resumableIdleRatios, "resident, each", 285, 1.08},

	{pingRatios, readsFigure, 1, 1.05},
	{pingRatios, writesFigure, 1, 1.05},
	{pingRatios, workFigure, 2, 1.1},
	{pingRatios, futexFigure, 0.005, 4},
	{pingRatios, turnSleepsFigure, 1, 1.15},
	{pingRatios, mallocsFigure, 0.02, 2.5},

	// The acknowledgement after 32 messages comes with one of them, or with the next, and
	// its answer leaves with the next reply.
	{resumablePingRatios, readsFigure, 1, 1.06},
	{resumablePingRatios, writesFigure, 1, 1.06},
	{resumablePingRatios, mallocsFigure, 0.02, 2.5},

	{tripRatios, readsFigure, 4, 1.05},
	{tripRatios, writesFigure, 3.1, 1.1},
	{tripRatios, workFigure, 8.1, 1.08},
	{tripRatios, futexFigure, 0.08, 4},
	{tripRatios, sleepsFigure, 0.3, 3},
	{tripRatios, mallocsFigure, 13, 1.1},

	{resumableTripRatios, readsFigure, 4, 1.06},
	{resumableTripRatios, writesFigure, 3.1, 1.1},
	{resumableTripRatios, mallocsFigure, 13, 1.1},
	{resumableTripRatios, keptFigure, 16 * 170, 1.3}, // half of 32 messages

	{paceRatios, readsFigure, 4.15, 1.07},
	{paceRatios, workFigure, 10, 1.1},
	{paceRatios, futexFigure, 2, 1.6},
}
