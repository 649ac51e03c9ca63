package keyring_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/keyring"
	"github.com/gatehouse-auth/gatehouse/token"
)

// twoNodes are two rings on one store. The second hears of nothing until it catches up.
func twoNodes(t *testing.T) (a, b *keyring.Ring, m *memory, behind *feed) {
	t.Helper()
	a, m = newRing(t, gatehouse.RealmSettings{SigningAlgorithm: "EdDSA"})
	behind = &feed{}
	var err error
	if b, err = keyring.New(keyring.Config{Store: m, Run: m.run, Box: m.box, CatchUp: behind.catchUp}); err != nil {
		t.Fatal(err)
	}
	if err := b.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	behind.apply = b.Apply
	m.notify = func(c gatehouse.Change) { a.Apply(c); behind.tell(c) }
	return a, b, m, behind
}

// feed keeps changes until somebody catches up.
type feed struct {
	mu      sync.Mutex
	changes []gatehouse.Change
	apply   func(gatehouse.Change)
	fail    error
	asked   int
}

func (f *feed) tell(c gatehouse.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes = append(f.changes, c)
}

func (f *feed) catchUp(context.Context) (time.Time, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.fail != nil {
		return time.Time{}, f.fail
	}
	for _, c := range f.changes {
		f.apply(c)
	}
	f.changes = nil
	return time.Now(), nil
}

// TestKeyOfAnotherNode: a node takes a token under a key that another node made a moment
// ago, a realm's first one too, and publishes and signs with it, before anybody has told
// it. What it knows costs no question, and what another node removed is not taken.
func TestKeyOfAnotherNode(t *testing.T) {
	a, b, _, behind := twoNodes(t)
	if err := a.EnsureRealm(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	first, kid := sign(t, a)
	if err := verify(t, b, first); err != nil {
		t.Errorf("the first key: %v", err)
	}
	next, err := a.Rotate(t.Context(), keyring.Command{Realm: "main", Now: true})
	if err != nil {
		t.Fatal(err)
	}
	second, _ := sign(t, a)
	body, etag, maxAge, err := b.JWKS(t.Context(), "main")
	if err != nil || !strings.Contains(string(body), next) || maxAge != keyring.KeySetMaxAge {
		t.Errorf("the other node publishes %s for %v: %v", body, maxAge, err)
	}
	if _, other, _, _ := a.JWKS(t.Context(), "main"); other != etag {
		t.Errorf("one set has the tags %s and %s", other, etag)
	}
	asked := behind.asked
	for _, compact := range []string{first, second} {
		if err := verify(t, b, compact); err != nil {
			t.Error(err)
		}
	}
	if behind.asked != asked {
		t.Error("a question about keys that are known")
	}

	if err := a.Remove(t.Context(), keyring.Command{Realm: "main", KID: kid}); err != nil {
		t.Fatal(err)
	}
	third, err := a.Rotate(t.Context(), keyring.Command{Realm: "main", Now: true})
	if err != nil {
		t.Fatal(err)
	}
	compact, _ := sign(t, a)
	if err := verify(t, b, compact); err != nil {
		t.Errorf("the key %s: %v", third, err)
	}
	for range 2 {
		if err := verify(t, b, first); gatehouse.CodeOf(err) != "token_key_unknown" {
			t.Errorf("a token of a removed key: %v", err)
		}
	}
	if err := b.EnsureRealm(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	if err := verify(t, b, first); gatehouse.CodeOf(err) != "token_key_unknown" {
		t.Errorf("a token of a removed key, later: %v", err)
	}
}

// TestSignerOfAnotherNode: a realm that another node just made can be signed for.
func TestSignerOfAnotherNode(t *testing.T) {
	a, b, _, _ := twoNodes(t)
	if err := a.EnsureRealm(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Signer("main"); err != nil {
		t.Error(err)
	}
}

// TestKeyUnsure: a node that cannot hear of others says that it does not know, not that
// the key is wrong; what it knows it uses on, and nobody keeps for long what it publishes.
func TestKeyUnsure(t *testing.T) {
	a, b, _, behind := twoNodes(t)
	if err := a.EnsureRealm(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	known, _ := sign(t, a)
	if err := verify(t, b, known); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Rotate(t.Context(), keyring.Command{Realm: "main", Now: true}); err != nil {
		t.Fatal(err)
	}
	unknown, _ := sign(t, a)
	behind.fail = errors.New("cut off")
	if err := verify(t, b, unknown); gatehouse.KindOf(err) != gatehouse.Unavailable || gatehouse.CodeOf(err) != "signing_key_unsure" {
		t.Errorf("a key that may exist: %v", err)
	}
	if err := verify(t, b, known); err != nil {
		t.Errorf("a key that is known: %v", err)
	}
	if _, _, maxAge, err := b.JWKS(t.Context(), "main"); err != nil || maxAge > 10*time.Second {
		t.Errorf("a set that may lack a key may be kept for %v: %v", maxAge, err)
	}
	behind.fail = nil
	if err := verify(t, b, unknown); err != nil {
		t.Error(err)
	}
}

// TestInventedKeys: whoever names keys that do not exist has no more than 256 wait, and
// does not keep others from using those that do.
func TestInventedKeys(t *testing.T) {
	_, m := newRing(t, gatehouse.RealmSettings{SigningAlgorithm: "EdDSA"})
	synctest.Test(t, func(t *testing.T) {
		waiting := make(chan struct{})
		b, err := keyring.New(keyring.Config{Store: m, Run: m.run, Box: m.box, CatchUp: func(context.Context) (time.Time, error) {
			<-waiting
			return time.Now(), nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		m.notify = b.Apply
		if err := b.EnsureRealm(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
		compact, _ := sign(t, b)
		keys := b.Source("main")
		codes := make(chan string, 1000)
		for range cap(codes) {
			go func() {
				_, err := keys.Key("invented", token.EdDSA)
				codes <- gatehouse.CodeOf(err)
			}()
		}
		synctest.Wait()
		if waits := cap(codes) - len(codes); waits != 256 {
			t.Errorf("%d wait", waits)
		}
		if err := verify(t, b, compact); err != nil {
			t.Errorf("meanwhile: %v", err)
		}
		close(waiting)
		count := map[string]int{}
		for range cap(codes) {
			count[<-codes]++
		}
		if count["signing_key_unsure"] != 744 || count["token_key_unknown"] != 256 {
			t.Errorf("answers: %v", count)
		}
	})
}
