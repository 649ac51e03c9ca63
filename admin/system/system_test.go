package system_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// TestBackup: it says where the copy lies.
func TestBackup(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	if r := h.Want(200, root, "POST", "/backup", nil); r.Str("name") == "" {
		t.Fatalf("%s", r.Body)
	}
}
