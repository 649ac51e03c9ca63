package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/admin/rules"
	"github.com/gatehouse-auth/gatehouse/authz"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/store"
)

// ruleNode is a node as far as it changes rules and decides by them.
type ruleNode struct {
	rules   *rules.Service
	decider *authz.Decider
}

func newRuleNode(t *testing.T, db *store.DB) ruleNode {
	t.Helper()
	d := must(authz.New(t.Context(), authz.Config{Store: db, Directory: noDirectory{}, Logger: slog.New(slog.DiscardHandler)}))(t)
	db.Subscribe(d.Apply)
	k := &kernel.Kernel{Realms: db, Now: time.Now, Record: func(*gatehouse.Event) {},
		Decide: func(context.Context, *gatehouse.Principal, string, string, string, string) gatehouse.Decision {
			return gatehouse.Decision{Allowed: true}
		}}
	return ruleNode{rules.New(rules.Config{Kernel: k, Rules: db, Entities: db, Run: must(store.Run[rules.Tx](db))(t),
		Prepare: d.Prepare, Explain: d.Explain}), d}
}

type noDirectory struct{}

func (noDirectory) Subject(context.Context, string, string) (gatehouse.Subject, error) {
	return gatehouse.Subject{}, gatehouse.NotFound
}

// TestRulesOfNodes: two nodes change the rules of one realm at once, each in a way that fits
// what is there and not what the other one does. One of them is told so. Were both stored, they
// would not load, and a realm whose rules do not load denies everything.
func TestRulesOfNodes(t *testing.T) {
	cfg := postgresConfig(t)
	cfg.Shared = true
	first, second := open(t, cfg), open(t, cfg)
	a, b := newRuleNode(t, first), newRuleNode(t, second)
	for round := range 20 {
		realm := exampleRealm()
		realm.Name = fmt.Sprint("realm", round)
		do(t, first, func(ctx context.Context, tx *store.Tx) error { return tx.InsertRealm(ctx, realm) })
		root := &gatehouse.Principal{Realm: realm.Name, Kind: gatehouse.KindUser, ID: "usr_root"}
		var schema, document error
		var both sync.WaitGroup
		both.Go(func() { // the first schema that the realm gets
			_, schema = a.rules.PutSchema(t.Context(), root, realm.Name,
				"entity User; entity Document { open: Bool }; action read appliesTo { principal: [User], resource: [Document] };")
		})
		both.Go(func() { // well without a schema
			_, document = b.rules.PutPolicy(t.Context(), root, realm.Name, policy.Document{ID: "p",
				Text: `permit (principal, action == Action::"read", resource is Document) when { resource.shut };`})
		})
		both.Wait()
		if (schema == nil) == (document == nil) {
			t.Fatalf("round %d: the schema: %v; the policy: %v", round, schema, document)
		}
		if err := errors.Join(schema, document); !errors.Is(err, gatehouse.Unprocessable) || gatehouse.CodeOf(err) != "policy_invalid" {
			t.Errorf("round %d: %v", round, err)
		}
	}
}
