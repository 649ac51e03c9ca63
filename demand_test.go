package gatehouse_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

// TestDemands: who must have a second factor, by realm and role; a value that no version knows demands one.
func TestDemands(t *testing.T) {
	for _, c := range []struct {
		mfa      string
		of, have []string
		want     bool
	}{
		{"", nil, []string{"editor"}, false}, {"optional", nil, nil, false}, {"required", nil, nil, true}, {"Optional", nil, nil, true}, {"off", nil, nil, true},
		{"", []string{"admin"}, []string{"editor", "admin"}, true}, {"optional", []string{"admin"}, []string{"administrator"}, false}, {"", []string{"admin"}, nil, false},
	} {
		if got := (gatehouse.RealmSettings{MFA: c.mfa, MFARoles: c.of}).DemandsSecondFactor(c.have); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
