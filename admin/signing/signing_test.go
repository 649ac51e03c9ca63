package signing_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// TestSigningKeys: a key that was removed is gone.
func TestSigningKeys(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	kid := h.Want(201, root, "POST", "/realms/main/signing-keys/rotate", map[string]any{"now": true}).Str("kid")
	h.Want(204, root, "DELETE", "/realms/main/signing-keys/"+kid, nil)
	h.Want(404, root, "DELETE", "/realms/main/signing-keys/"+kid, nil)
}
