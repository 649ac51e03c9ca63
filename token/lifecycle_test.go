package token_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/token"
)

func TestPlanKeys(t *testing.T) {
	const day = 24 * time.Hour
	s := token.Schedule{Algorithm: token.ES256, Rotate: 30 * day, Propagate: time.Hour, TokenTTL: 10 * time.Minute}
	ago := func(d time.Duration) time.Time { return clock.Add(-d) }
	active := func(kid string, since time.Duration) token.StoredKey {
		return token.StoredKey{KID: kid, Algorithm: "ES256", State: token.KeyActive, CreatedAt: ago(since + time.Hour), ActivatedAt: ago(since)}
	}
	published := func(kid string, since time.Duration) token.StoredKey {
		return token.StoredKey{KID: kid, Algorithm: "ES256", State: token.KeyPublished, CreatedAt: ago(since)}
	}
	retired := func(kid string, since time.Duration) token.StoredKey {
		return token.StoredKey{KID: kid, Algorithm: "ES256", State: token.KeyRetired, RetiredAt: ago(since)}
	}
	other := func(k token.StoredKey) token.StoredKey { k.Algorithm = "Ed25519"; return k }
	id := func(k token.StoredKey) token.StoredKey { k.Use, k.Algorithm = token.UseID, "RS256"; return k }
	created := func(k token.StoredKey, ago time.Duration) token.StoredKey { k.CreatedAt = clock.Add(-ago); return k }
	keep := 10*time.Minute + token.MaxLeeway
	for name, c := range map[string]struct {
		keys []token.StoredKey
		want []string
	}{
		"new realm":                {nil, []string{"generate_active"}},
		"nothing due":              {[]token.StoredKey{active("a", day)}, nil},
		"just before publishing":   {[]token.StoredKey{active("a", 30*day-time.Hour-1)}, nil},
		"publish ahead":            {[]token.StoredKey{active("a", 30*day-time.Hour)}, []string{"generate"}},
		"published, waits":         {[]token.StoredKey{active("a", 30*day), published("b", time.Hour-1)}, nil},
		"published long enough":    {[]token.StoredKey{active("a", 30*day), published("b", time.Hour)}, []string{"activate b", "retire a"}},
		"by hand, before its time": {[]token.StoredKey{active("a", day), published("b", time.Hour)}, []string{"activate b", "retire a"}},
		"oldest published first":   {[]token.StoredKey{active("a", day), published("c", time.Hour), published("b", 2*time.Hour)}, []string{"activate b", "retire a"}},
		"no active":                {[]token.StoredKey{published("b", 0), retired("a", 0)}, []string{"activate b"}},
		"only retired":             {[]token.StoredKey{retired("a", 0)}, []string{"generate_active"}},
		"two active":               {[]token.StoredKey{active("b", time.Hour), active("a", day)}, []string{"retire a"}},
		"retired, tokens live":     {[]token.StoredKey{active("b", day), retired("a", keep-1)}, nil},
		"retired, tokens gone":     {[]token.StoredKey{active("b", day), retired("a", keep)}, []string{"remove a"}},
		"algorithm changed":        {[]token.StoredKey{other(active("a", time.Minute))}, []string{"generate"}},
		"changed while published":  {[]token.StoredKey{active("a", day), other(published("b", time.Minute))}, []string{"remove b"}},
		"changed, new one waits":   {[]token.StoredKey{other(active("a", day)), published("b", time.Minute)}, nil},
		"three active":             {[]token.StoredKey{active("b", 2*time.Hour), active("c", time.Hour), active("a", day)}, []string{"retire a", "retire b"}},
		"two active at once":       {[]token.StoredKey{created(active("a", day), 1), created(active("b", day), 2)}, []string{"retire b"}}, // the younger one stays
		"two of one age":           {[]token.StoredKey{active("b", day), active("a", day)}, []string{"retire a"}},
		"two active, one waits":    {[]token.StoredKey{active("a", day), active("b", time.Hour), published("c", time.Hour)}, []string{"retire a", "activate c", "retire b"}},
		"two active, rotation due": {[]token.StoredKey{active("a", 40*day), active("b", 31*day)}, []string{"retire a", "generate"}},
		"no active, one changed":   {[]token.StoredKey{other(published("a", day)), published("b", time.Minute)}, []string{"remove a", "activate b"}},
		"no active, all changed":   {[]token.StoredKey{other(published("a", day)), other(published("b", day))}, []string{"remove a", "remove b", "generate_active"}},
		"no active, oldest first":  {[]token.StoredKey{published("a", time.Minute), published("b", time.Hour)}, []string{"activate b"}},
		"retired of another kind":  {[]token.StoredKey{active("b", day), other(retired("a", keep-1)), other(retired("c", keep))}, []string{"remove c"}},
		"another for ID tokens":    {[]token.StoredKey{active("a", day), id(active("b", time.Minute))}, nil},
		"it rotates by itself":     {[]token.StoredKey{active("a", day), id(active("b", 30*day)), id(published("c", time.Hour))}, []string{"activate c", "retire b"}},
		"it is replaced":           {[]token.StoredKey{active("a", day), id(retired("b", keep))}, []string{"remove b", "generate_active id RS256"}},
		"it signs nothing else":    {[]token.StoredKey{id(active("b", day))}, []string{"generate_active"}},
		"the other changes":        {[]token.StoredKey{other(active("a", day)), id(active("b", day)), published("c", time.Hour)}, []string{"activate c", "retire a"}},
		"retired, then generate":   {[]token.StoredKey{retired("c", keep), retired("d", keep)}, []string{"remove c", "remove d", "generate_active"}},
	} {
		var got []string
		for _, step := range token.PlanKeys(c.keys, clock, s) {
			text := string(step.Action)
			if step.KID != "" {
				text = fmt.Sprint(step.Action, " ", step.KID)
			} else if step.Use != token.UseAll {
				text = fmt.Sprint(step.Action, " ", step.Use, " ", step.Algorithm)
			}
			got = append(got, text)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	for _, s.Rotate = range []time.Duration{-1, 0} {
		if plan := token.PlanKeys([]token.StoredKey{active("a", 9999*day)}, clock, s); plan != nil {
			t.Errorf("rotates though told not to: %v", plan)
		}
	}
}
