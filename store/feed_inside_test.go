package store

import (
	"reflect"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// TestChangesTravel: what is told of a change is its place, and of a revocation all of
// it. What cannot be read means everything.
func TestChangesTravel(t *testing.T) {
	at := time.UnixMicro(1_800_000_000_123_456)
	bit := func(list, place int64) gatehouse.Change {
		return gatehouse.Change{Topic: gatehouse.TopicRevocation, Realm: "r", Value: revocation.NewStatusBit("r", list, place)}
	}
	cut := gatehouse.Change{Topic: gatehouse.TopicRevocation, Realm: "r",
		Value: revocation.Cutoff{Realm: "r", Kind: revocation.CutoffClient, ID: "c", Before: at, ExpiresAt: at.Add(time.Hour)}}
	forever := gatehouse.Change{Topic: gatehouse.TopicRevocation, Realm: "r",
		Value: revocation.Cutoff{Realm: "r", Kind: revocation.CutoffRealm, Before: at}}
	key := gatehouse.Change{Topic: gatehouse.TopicKey, Realm: "r", ID: "k", Value: credential.Key{ID: "k", Realm: "r", Hash: []byte("secret")}}
	told := key
	told.Value = nil
	text, err := encodeChanges([]gatehouse.Change{bit(0, 0), key, bit(7, 3), cut, bit(0, 5), forever})
	if err != nil {
		t.Fatal(err)
	}
	want := []gatehouse.Change{bit(0, 0), bit(0, 5), told, bit(7, 3), cut, forever}
	if got := decodeChanges([]byte(text)); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v\nof %s", got, want, text)
	}
	for _, text := range []string{"", "{}", "null", "[1]", `[{"topic":"user","soon":"more"}]`, `[{"topic":"user","topic":"key"}]`, "[{}] x"} {
		if got := decodeChanges([]byte(text)); !reflect.DeepEqual(got, everything()) {
			t.Errorf("%q: %v", text, got)
		}
	}
}
