package testnode_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testnode"
)

func TestModules(t *testing.T) {
	modules := testnode.Modules(t, "internal/testbrowser")
	if _, err := os.Stat(filepath.Join(modules, "axe-core", "package.json")); err != nil {
		t.Error(err)
	}
	if testnode.Modules(t, "internal/testbrowser") != modules {
		t.Error("installed twice")
	}
}
