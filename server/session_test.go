package server_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestSessionsOfTwoNodes: a session that was opened on one node is good on the other; ended on one, it is
// refused there before the call returns, and on the other when that is proven.
//
// ASVS: 7.4.1
func TestSessionsOfTwoNodes(t *testing.T) {
	a, b, _ := twoNodes(t, nil)
	nodes := []*server.Server{a.Server(), b}
	auths := []string{a.Issuer, b.AuthURL()}
	for at := range nodes {
		bob := a.Users["bob"].ID
		text, opened, err := server.OpenSession(t.Context(), nodes[at], bob)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes { // from now on each has it in its memory
			testwait.Until(t, soon, "it is good at both", func() bool {
				p, err := server.CheckSession(t.Context(), n, text)
				return err == nil && p.ID == bob && p.SessionID == opened.ID
			})
		}
		end := auths[at] + "/admin/v1/realms/main/users/bob/sessions/" + opened.ID
		call(t, "DELETE", end+"?wait=nodes&wait_for=30s", "bearer", a.AdminToken).want(t, "its end", 200)
		for i, n := range nodes {
			if p, err := server.CheckSession(t.Context(), n, text); err == nil {
				t.Errorf("ended at node %d, node %d lets %s in", at, i, p.Name)
			}
		}
	}
}
