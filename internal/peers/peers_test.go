package peers_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/peers"
)

// TestVerdictDisproves: whoever would let in what was ended disproves that nobody does.
func TestVerdictDisproves(t *testing.T) {
	refused, letIn := peers.Verdict{Refused: true, Reason: "token_revoked"}, peers.Verdict{}
	for name, c := range map[string]struct {
		verdicts []peers.Verdict
		want     bool
	}{"none": {nil, true}, "refused": {[]peers.Verdict{refused, refused}, true}, "let in": {[]peers.Verdict{refused, letIn}, false}} {
		for _, state := range []peers.State{peers.Confirmed, peers.Silent, peers.Left} {
			p := peers.Proof{Nodes: []peers.Told{{ID: "a", State: peers.Confirmed}, {ID: "b", State: state, Verdicts: c.verdicts}}}
			if got := p.Proven(); got != c.want {
				t.Errorf("%s, %s: %v", name, state, got)
			}
		}
	}
}
