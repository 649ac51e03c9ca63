package audit

import (
	"bytes"
	"context"
	"strconv"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/personal"
)

// noSalts gives everybody one salt.
type noSalts struct{}

func (noSalts) PersonalSalt(context.Context, string) ([]byte, error) {
	return bytes.Repeat([]byte{2}, personal.SaltSize), nil
}

func sealer(tb testing.TB) (*personal.Keeper, Persons) {
	k, err := personal.New(personal.Config{Secret: bytes.Repeat([]byte{1}, personal.SecretSize), Salts: noSalts{},
		Make: func(_ context.Context, _, _ string, salt []byte) ([]byte, error) { return salt, nil }})
	if err != nil {
		tb.Fatal(err)
	}
	return k, func(realm, subject string) *personal.Key {
		key, err := k.Make(context.Background(), realm, subject)
		if err != nil {
			tb.Error(err)
		}
		return key
	}
}

// BenchmarkSealedEvent: what sealing costs an event of somebody whose key is in memory. Compare with "clear".
func BenchmarkSealedEvent(b *testing.B) {
	_, persons := sealer(b)
	e := gatehouse.Event{Realm: "main", Kind: KindRequestDecide, Outcome: gatehouse.OutcomeSuccess, Address: "192.0.2.7", Method: "GET", Host: "api.example",
		Path: "/orders/1", Route: "orders", Status: 200, Actor: gatehouse.Actor{Kind: gatehouse.KindUser, ID: "usr_01", Name: "anna", Scheme: gatehouse.SchemeBasic}}
	buf := make([]byte, 0, 4096)
	b.Run("clear", func(b *testing.B) {
		for b.Loop() {
			buf = appendSealed(buf[:0], &e, nil)
		}
	})
	b.Run("same address", func(b *testing.B) {
		for b.Loop() {
			buf = appendSealed(buf[:0], &e, persons)
		}
	})
	b.Run("new address", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			e.Address = "192.0.2." + strconv.Itoa(i)
			buf = appendSealed(buf[:0], &e, persons)
		}
	})
}
