// Package host is the machine that the process runs on, as far as the gateway depends
// on it: the limits of descriptors and memory, processors, the kernel's settings, files
// that can be written, and memory that is given back to the system.
//
// [LookAround] reads the limits, [Limits.Judge] compares them with what a
// configuration demands. The package knows no configuration: it may import settings,
// for sizes, and internal/finding, internal/sizing and internal/textfile.
package host
