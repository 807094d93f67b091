// Package docs_test holds the documents against the program: their examples are run with
// the real binary, their tables are made from the options, metrics and alerts, their
// links lead somewhere. It may import the program's packages for what they know of
// themselves, and e2e/harness.
package docs_test

import (
	"testing"

	"ws-gateway/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m, 10) }
