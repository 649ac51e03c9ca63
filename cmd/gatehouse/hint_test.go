package main

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authn"
)

// TestHintOfStepUp: who is asked for a sign-in with more is told which command asks for a code.
func TestHintOfStepUp(t *testing.T) {
	a := &app{environ: []string{"GATEHOUSE_TOKEN=x"}}
	if got := a.hint(authn.StepUp("aal2", time.Minute), true); !strings.Contains(got, "login --username") {
		t.Errorf("%q", got)
	}
}
