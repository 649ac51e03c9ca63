package counters

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testredis"
)

// TestValkey: what these tests show of a Redis is so of a Valkey.
func TestValkey(t *testing.T) {
	if os.Getenv(testredis.ProgramVariable) != "" {
		return // that is what runs
	}
	program, err := exec.LookPath("valkey-server")
	if err != nil {
		program, err = filepath.Abs("../../.cache/valkey/valkey-server")
		if err == nil {
			_, err = os.Stat(program)
		}
	}
	if err != nil {
		t.Skip("valkey-server is not installed (scripts/get-valkey)")
	}
	// The one of scripts/get-valkey is built without TLS; the others are not about the server.
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.count=1", "-test.skip=^(TestTLS|TestSlow|TestNonsense|TestUsesNonsense)$")
	cmd.Env = append(os.Environ(), testredis.ProgramVariable+"="+program)
	out, err := cmd.CombinedOutput()
	if err != nil || bytes.Count(out, []byte("--- PASS: TestUses")) < 5 {
		t.Errorf("%v\n%s", err, out)
	}
}
