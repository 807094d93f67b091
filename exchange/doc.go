// Package exchange writes to a socket and reads what comes back, in a single wait.
//
// An ordinary read tries at once and waits only if nothing is there. Right after a request
// has been written its answer cannot be there, so that this try is in vain, once for every
// request. A [Socket] writes and reads within one wait of the runtime's poller, which
// remembers if something arrives between the write and the wait. A [Conn] is for what reads
// and writes in the ordinary order.
//
// Its system calls cannot block, and the Go scheduler is not told of them. It imports none
// of the project's packages.
package exchange
