package kernel

import "github.com/gatehouse-auth/gatehouse"

// PanicOrder says how far a panic may go.
type PanicOrder struct {
	IncludingMe bool `json:"including_me,omitempty" doc:"Also when it ends the caller's own access, that of the last administrator, or everything of the realm main"`
}

var errPanicMe = gatehouse.E(gatehouse.Conflict, "panic_including_me",
	"This would end your own access, that of the last administrator, or everything of the realm main. Say including_me (--including-me) when you mean it.")

// Refuse is the error of a panic that would end more than its order says; mine tells
// that it ends what takes an order of its own. Errors: panic_including_me.
func (o PanicOrder) Refuse(mine bool) error {
	if mine && !o.IncludingMe {
		return errPanicMe
	}
	return nil
}
