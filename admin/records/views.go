package records

import (
	"github.com/gatehouse-auth/gatehouse/audit"
)

// LogVerification says what to verify beside the stored log.
type LogVerification struct {
	Checkpoints []string `json:"checkpoints,omitempty" maxItems:"16" doc:"Signed checkpoints that were saved outside of Gatehouse: the log must be the continuation of each, and so each of the one before"`
	Index       *int64   `json:"index,omitempty" minimum:"0" doc:"Prove that this event is in the log, too"`
}

// LogReport is the result of a verification.
type LogReport struct {
	OK bool `json:"ok" doc:"Whether nothing is wrong"`
	audit.Report
	Inclusion *audit.Inclusion `json:"inclusion,omitempty" doc:"The proof for the event that was asked for"`
}

// Checkpoint is a signed note over a realm's log.
type Checkpoint struct {
	Note string `json:"note"`
}
