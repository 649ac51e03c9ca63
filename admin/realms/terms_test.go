package realms_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// TestTermsSettings: pages lead to https addresses alone, and nobody is asked to accept what cannot be read.
func TestTermsSettings(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	set := func(status int, settings map[string]any) string {
		t.Helper()
		return string(h.Want(status, root, "PATCH", "/realms/main", map[string]any{"settings": settings}).Body)
	}
	for _, bad := range []string{"http://example.com/", "javascript:alert(1)", "//example.com/", "/terms", "https://", "https://a:b@example.com/", "https://example.com/ä", "https://example.com/ x", "https://example.com/" + strings.Repeat("a", 500)} {
		for _, member := range []string{"terms_url", "privacy_url"} {
			if got := set(422, map[string]any{member: bad}); !strings.Contains(got, "settings."+member) {
				t.Errorf("%s: %s", bad, got)
			}
		}
	}
	if got := set(422, map[string]any{"terms_version": "1"}); !strings.Contains(got, "needs terms_url") {
		t.Error(got)
	}
	for _, bad := range []string{"a b", strings.Repeat("1", 65)} {
		if got := set(422, map[string]any{"terms_url": "https://example.com/", "terms_version": bad}); !strings.Contains(got, "settings.terms_version") {
			t.Errorf("%s: %s", bad, got)
		}
	}
	got := set(200, map[string]any{"terms_url": "https://example.com/terms?v=1#top", "privacy_url": "https://example.com:8443/privacy", "terms_version": "2026-11"})
	for _, want := range []string{`"terms_url":"https://example.com/terms?v=1#top"`, `"privacy_url":"https://example.com:8443/privacy"`, `"terms_version":"2026-11"`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
}
