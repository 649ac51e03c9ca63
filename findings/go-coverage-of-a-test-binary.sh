#!/usr/bin/env bash
# Go 1.26.8: runtime/coverage.ClearCounters refuses in a test binary that was built
# with -covermode=atomic, and says that it was not.
#
# A good engineer expects that `go test -covermode=atomic` and `go build -cover
# -covermode=atomic` make programs of the same kind, so that a test can clear the
# counters, make one request, and see what that request went through. In a test
# binary the mode is "<invalid>" to the runtime; a program of its own works. So the
# test of the files that a request goes through (docs TestPathsAreShort) builds one.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
export GOTOOLCHAIN=local
cat > go.mod <<'MOD'
module finding
go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"fmt"
	"runtime/coverage"
)

func main() { fmt.Println(coverage.ClearCounters()) }
GO
cat > main_test.go <<'GO'
package main

import "testing"

func TestClear(t *testing.T) { main() }
GO
{
  echo "program: $(go run -cover -covermode=atomic . 2>/dev/null)"
  echo "test: $(go test -count=1 -covermode=atomic -v . | grep ClearCounters)"
} > seen
cat > want <<'WANT'
program: <nil>
test: ClearCounters invoked for program built with -covermode=<invalid> (please use -covermode=atomic)
WANT
cat seen
diff want seen
