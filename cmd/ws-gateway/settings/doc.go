// Package settings gives options their values: from the command line, else the
// environment, else a file, else the default. It remembers where each value came
// from and what was wrong with it.
//
// It knows no option by name. A command declares its options as a struct for kong;
// a [Set] holds them, a [Resolver] finds the values that the command line does not
// give, and ReadFile reads the file. Beside kong's tags these have a meaning here:
// min and max bound a number, a size or a duration; oneof lists the only values;
// secret hides the value; reload marks an option that can be changed while the
// process runs; ask is what is said if a command's arguments are missing.
//
// Of this module it imports internal/textfile alone.
package settings
