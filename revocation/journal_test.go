package revocation_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// followed makes a loaded view with its journal, both told of changes in the order in which the server tells them.
func followed(t *testing.T, s *store) (*revocation.View, *revocation.Journal, func(any)) {
	t.Helper()
	v := loaded(t, s)
	j := revocation.NewJournal(v)
	return v, j, func(value any) {
		v.Apply(change(value))
		j.Apply(change(value))
	}
}

func bit(realm string, index int64) revocation.StatusBit {
	list, _ := revocation.NewStatus(time.Now().Add(24 * time.Hour))
	return revocation.NewStatusBit(realm, list/64*64, index)
}

// end is the position behind the last entry.
func end(j *revocation.Journal) revocation.Position {
	_, now, _ := j.Since(revocation.Position{}, "")
	return now
}

// TestJournalGoesOn: whoever comes with a position gets what came after it, of his realm, in order, each once.
func TestJournalGoesOn(t *testing.T) {
	_, j, tell := followed(t, &store{})
	tell(bit("main", 1))
	at := end(j)
	select {
	case <-j.After(at):
		t.Error("something is after the last entry")
	default:
	}
	waiting := j.After(at)
	tell(bit("main", 2))
	<-waiting
	tell(bit("other", 3))
	tell(revocation.Cutoff{Realm: "main", Kind: revocation.CutoffSubject, ID: "usr_a", Before: time.Now(), ExpiresAt: time.Now().Add(time.Hour)})
	j.Apply(gatehouse.Change{Topic: gatehouse.TopicSigningKey, Realm: "main", ID: "k"})
	j.Apply(gatehouse.Change{Topic: gatehouse.TopicSigningKey, Realm: "other", ID: "k"})
	j.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "main", ID: "usr_a"})
	<-j.After(at)
	got, now, whole := j.Since(at, "main")
	var kinds []revocation.EntryKind
	for _, e := range got {
		kinds = append(kinds, e.Kind)
	}
	want := []revocation.EntryKind{revocation.EntryBit, revocation.EntryCutoff, revocation.EntryKeys}
	if !whole || !slices.Equal(kinds, want) || got[0].Bit.Index != 2 || got[1].Cutoff.ID != "usr_a" || now != end(j) {
		t.Errorf("%v %v %+v", whole, kinds, got)
	}
	// A position survives being written and read.
	again, _, whole := j.Since(revocation.ParsePosition(at.String()), "main")
	if !whole || len(again) != 3 {
		t.Errorf("from %q: %v %d", at, whole, len(again))
	}
	if got, _, whole := j.Since(now, "main"); !whole || len(got) != 0 {
		t.Errorf("from the end: %v %+v", whole, got)
	}
}

// TestJournalRefusesToGuess: a position of another process, of the future, of before what is kept, or in another form
// is no place to go on from, and neither is one from before the view was loaded anew.
func TestJournalRefusesToGuess(t *testing.T) {
	s := &store{}
	v, j, tell := followed(t, s)
	_, other, _ := followed(t, s)
	tell(bit("main", 1))
	first := end(j)
	text := first.String()
	name, number, _ := strings.Cut(text, "-")
	for what, text := range map[string]string{
		"none": "", "another process": end(other).String(), "the future": name + "-2", "in other words": name + "-0" + number, "signed": name + "-+" + number,
		"no number": name + "-", "no name": "-" + number, "name alone": name, "another name": strings.Repeat("A", 16) + "-1", "lower case": strings.ToLower(name) + "-1",
		"much": text + strings.Repeat("0", 100), "too large": name + "-99999999999999999999", "a space": text + " ", "negative": name + "--1",
	} {
		if got, now, whole := j.Since(revocation.ParsePosition(text), "main"); whole || len(got) != 0 || now != first {
			t.Errorf("%s, %q: went on with %d entries", what, text, len(got))
		}
	}
	// As long as it is kept, and not one entry longer; others' entries count.
	for i := range int64(1 << 14) {
		tell(bit("other", i))
	}
	if got, _, whole := j.Since(first, "main"); !whole || len(got) != 0 {
		t.Errorf("the oldest that is kept: %v, %d entries", whole, len(got))
	}
	tell(bit("other", 1<<14))
	if _, _, whole := j.Since(first, "main"); whole {
		t.Error("went on from before what is kept")
	}
	now := end(j)
	if got, _, whole := j.Since(now, "main"); !whole || len(got) != 0 {
		t.Errorf("a full journal: %v %+v", whole, got)
	}
	if err := v.Load(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if _, _, whole := j.Since(now, "main"); whole {
		t.Error("went on although the view was loaded anew, with whatever the store has")
	}
	if _, _, whole := j.Since(end(j), "main"); !whole {
		t.Error("does not go on from behind the loading")
	}
}

// TestJournalWhole: a change that the view did not understand may be a revocation.
func TestJournalWhole(t *testing.T) {
	s := &store{}
	v, j, tell := followed(t, s)
	at := end(j)
	if !j.Whole() {
		t.Error("not whole although nothing happened")
	}
	tell("what is this")
	if j.Whole() {
		t.Error("whole, with something that nobody understood")
	}
	if err := v.Load(context.Background(), s); err != nil || !j.Whole() {
		t.Errorf("not whole after it was loaded: %v", err)
	}
	if _, _, whole := j.Since(at, "main"); whole {
		t.Error("goes on from before")
	}
}

// TestSnapshot: everything of one realm, in parts of bounded size, from lists of both forms.
func TestSnapshot(t *testing.T) {
	_, j, tell := followed(t, &store{})
	want := map[int64]bool{}
	for i := range int64(70_000) { // more than a table holds
		place := bit("main", i*13%revocation.ListSize)
		want[place.Index] = true
		tell(place)
	}
	few := bit("main", 77)
	few.List++
	tell(few)
	tell(bit("other", 5))
	cut := revocation.Cutoff{Realm: "main", Kind: revocation.CutoffClient, ID: "cli", Before: time.UnixMilli(1_700_000_000_123), ExpiresAt: time.UnixMilli(1_900_000_000_456)}
	tell(cut)
	tell(revocation.Cutoff{Realm: "other", Kind: revocation.CutoffRealm, Before: time.Now()})
	var cuts []revocation.Cutoff
	small := 0
	err := j.Snapshot("main", func(list int64, indexes []int64) error {
		if len(indexes) > 1000 || len(indexes) == 0 {
			t.Errorf("a part of %d", len(indexes))
		}
		for _, i := range indexes {
			if list == few.List {
				small++
			} else if !want[i] {
				t.Errorf("%d twice, or never revoked", i)
			}
			delete(want, i)
		}
		return nil
	}, func(c revocation.Cutoff) error { cuts = append(cuts, c); return nil })
	if err != nil || len(want) != 0 || small != 1 {
		t.Errorf("%v, %d places are missing, %d in the small list", err, len(want), small)
	}
	if len(cuts) != 1 || cuts[0] != cut {
		t.Errorf("%+v", cuts)
	}
	gone := errors.New("gone")
	for what, err := range map[string]error{
		"places":   j.Snapshot("main", func(int64, []int64) error { return gone }, func(revocation.Cutoff) error { return nil }),
		"cut-offs": j.Snapshot("main", func(int64, []int64) error { return nil }, func(revocation.Cutoff) error { return gone }),
	} {
		if !errors.Is(err, gone) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
