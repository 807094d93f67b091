// Package proc reads from the kernel what a process costs: CPU time, memory,
// descriptors, context switches; and what the machine is and how busy it was.
//
// Figures of a server under test come from here, never from the load client's
// wall clock: they stay true when client and server share the machine. Linux
// only. What /proc says is read by prometheus/procfs.
package proc
