package kernel

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/peers"
)

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

// Asking is what a use case has the nodes asked about, once its change is made and when its
// caller waits for them. It belongs to one request.
type Asking struct{ questions []peers.Question }

type askingKey struct{}

// WithAsking has the use cases that run under the context leave their questions in a.
func WithAsking(ctx context.Context, a *Asking) context.Context {
	return context.WithValue(ctx, askingKey{}, a)
}

// Questions are those that were left, [peers.MaxQuestions] at most.
func (a *Asking) Questions() []peers.Question { return a.questions }

// Ask leaves questions for the nodes, if anybody waits for them: what does every checker make
// of what was ended? Those beyond the bound are left out. It is to be called after the commit.
func Ask(ctx context.Context, questions ...peers.Question) {
	if a, waits := ctx.Value(askingKey{}).(*Asking); waits {
		a.questions = append(a.questions, questions[:min(len(questions), peers.MaxQuestions-len(a.questions))]...)
	}
}
