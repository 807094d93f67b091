package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// size is a number of bytes, written plainly or with KiB, MiB or GiB.
type size int64

// UnmarshalText reads a size from the command line.
func (s *size) UnmarshalText(text []byte) error {
	number, unit := string(text), int64(1)
	for i, name := range []string{"KiB", "MiB", "GiB"} {
		if cut, ok := strings.CutSuffix(number, name); ok {
			number, unit = cut, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return fmt.Errorf("%q is not a size such as 4096, 64KiB or 16MiB", text)
	}
	*s = size(n * unit)
	return nil
}
