package counters

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testredis"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

func period(name string, floor, quota int64) Period {
	return Period{Name: name, Floor: floor, Quota: quota, Keep: time.Hour}
}

func countName(s *Server, period string) string {
	return s.name("quota\x00main", "{", "a", "}") + ":" + period
}

// TestUses: a use is counted in each period when each has one left, and in none otherwise; no
// count is below what somebody knows.
func TestUses(t *testing.T) {
	r := testredis.Start(t, testredis.Options{})
	s, _ := counting(t, r.Address, nil)
	for i, c := range []struct {
		of   []Period
		v    Verdict
		want []int64
	}{
		{[]Period{period("day", 0, 3), period("month", 0, 4)}, Counted, []int64{1, 1}},
		{[]Period{period("day", 2, 3), period("month", 1, 4)}, Counted, []int64{3, 2}}, // somebody knows of one more
		{[]Period{period("day", 0, 3), period("month", 0, 4)}, UsedUp, []int64{3, 2}},
		{[]Period{period("month", 0, 3)}, Counted, []int64{3}},
		{[]Period{period("day", 0, 9), period("month", 7, 8)}, Counted, []int64{4, 8}},
		{[]Period{period("day", 0, 9), period("month", 0, 8)}, UsedUp, []int64{4, 8}}, // and not in the day either
		{[]Period{period("day", 0, 9)}, Counted, []int64{5}},
		{[]Period{period("day", 0, 2)}, UsedUp, []int64{5}}, // the quota was lowered
		{[]Period{period("big", 1<<53-2, 1<<60)}, Counted, []int64{1<<53 - 1}},
	} {
		v, counts, known := s.Use(Use{Scope: "quota\x00main", ID: "key_1", Of: c.of})
		if !known || v != c.v || fmt.Sprint(counts) != fmt.Sprint(c.want) {
			t.Errorf("%d: %v %v %v", i, v, counts, known)
		}
	}
	if v, counts, _ := s.Use(Use{Scope: "quota\x00main", ID: "key_2", Of: []Period{period("day", 0, 1)}}); v != Counted || counts[0] != 1 {
		t.Error("two keys share a count")
	}
	if names := r.Do("", "KEYS", "*"); !strings.Contains(names, "}:month") || strings.Contains(names, "key_") {
		t.Error(names)
	}
}

// TestUsesEnd: a count ends with its period.
func TestUsesEnd(t *testing.T) {
	r := testredis.Start(t, testredis.Options{})
	s, _ := counting(t, r.Address, nil)
	s.Use(Use{Scope: "quota\x00main", ID: "a", Of: []Period{{Name: "month", Quota: 3, Keep: 32 * 24 * time.Hour}, {Name: "day", Quota: 3, Keep: 20 * time.Millisecond}}})
	if ms := r.Do("", "PTTL", countName(s, "month")); len(ms) != 10 || ms > "2764800000" {
		t.Errorf("it ends after %s ms", ms)
	}
	testwait.Until(t, soon, "it is forgotten", func() bool { return !strings.Contains(r.Do("", "KEYS", "*"), "day") })
}

// TestUsesTogether: many who ask at once get the quota, and no more.
func TestUsesTogether(t *testing.T) {
	r := testredis.Start(t, testredis.Options{})
	var counted atomic.Int64
	var asking sync.WaitGroup
	for range 3 {
		s, _ := counting(t, r.Address, nil)
		for range 20 {
			asking.Go(func() {
				for range 5 {
					v, _, known := s.Use(Use{Scope: "quota\x00main", ID: "key_1", Of: []Period{period("day", 0, 100)}})
					if !known {
						t.Error("not counted")
					}
					if v == Counted {
						counted.Add(1)
					}
				}
			})
		}
	}
	asking.Wait()
	if counted.Load() != 100 {
		t.Errorf("%d of 100", counted.Load())
	}
}

// TestUsesUnsettled: when somebody says that the count may lack uses, nobody gets more than
// his share, for a time by the server's clock; a time of the future, as after that was set
// back, is no longer than it.
func TestUsesUnsettled(t *testing.T) {
	r := testredis.Start(t, testredis.Options{})
	s, _ := counting(t, r.Address, nil)
	other, _ := counting(t, r.Address, nil)
	of := []Period{period("day", 0, 1000), period("month", 0, 1000)}
	const settle = 500 * time.Millisecond
	use := func(s *Server, lacks, share bool) Verdict {
		t.Helper()
		v, counts, known := s.Use(Use{Scope: "quota\x00main", ID: "a", Of: of, Lacks: lacks, Settle: settle, Share: share})
		if !known || counts[0] != counts[1] {
			t.Fatalf("%v %v", counts, known)
		}
		return v
	}
	if use(s, false, false) != Counted {
		t.Error("unsettled from the start on")
	}
	began := time.Now()
	if use(s, true, true) != Counted || time.Since(began) < settle/2 && use(other, false, false) != Unsettled {
		t.Error("another one got more than his share")
	}
	testwait.Until(t, soon, "it is settled", func() bool { return use(other, false, false) == Counted })
	if took := time.Since(began); took < settle-2*time.Millisecond { // it counts whole ones
		t.Errorf("settled after %v", took)
	}
	r.Do("", "SET", countName(s, "day"), fmt.Sprintf("7 %d", time.Now().Add(time.Hour).UnixMilli()))
	r.Do("", "SET", countName(s, "month"), "7 0")
	testwait.Until(t, soon, "it is settled", func() bool { return use(other, false, false) == Counted })
}

// TestUsesSpoiled: what stands there and is no count is none; one that nobody can have
// reached counts as used up, and has nobody else's counts judged by shares.
func TestUsesSpoiled(t *testing.T) {
	r := testredis.Start(t, testredis.Options{})
	s, out := counting(t, r.Address, nil)
	use := func() (Verdict, int64) {
		t.Helper()
		v, counts, known := s.Use(Use{Scope: "quota\x00main", ID: "a", Of: []Period{period("day", 5, 10)}})
		if !known {
			t.Fatal(out.text())
		}
		return v, counts[0]
	}
	for _, spoiled := range []string{"", "-3 0", "x", "1e3 0", "3", "7 7 7"} {
		r.Do("", "SET", countName(s, "day"), spoiled)
		if v, n := use(); v != Counted || n != 6 {
			t.Errorf("%q: %v %d", spoiled, v, n)
		}
	}
	r.Do("", "SET", countName(s, "day"), strings.Repeat("9", 400)+" "+strings.Repeat("9", 400))
	if v, n := use(); v != UsedUp || n != 1<<53 {
		t.Errorf("%v %d", v, n)
	}
}

// TestUsesNonsense: no answer counts a use beyond the quota, or forgets one.
func TestUsesNonsense(t *testing.T) {
	u := Use{Of: []Period{period("day", 3, 5), period("month", 4, 9)}}
	for _, good := range [][]int64{{1, 4, 5}, {1, 5, 9}, {0, 5, 4}, {0, 3, 9}, {2, 3, 4}} {
		if !u.sense(good) {
			t.Errorf("%v is an answer", good)
		}
	}
	for _, bad := range [][]int64{nil, {1}, {1, 4}, {1, 4, 5, 6}, {1, 3, 5}, {1, 4, 4}, {1, 6, 9}, {0, 2, 9}, {2, 3, 3}, {3, 4, 5}, {-1, 4, 5}, {0, 1<<53 + 1, 4}} {
		if u.sense(bad) {
			t.Errorf("%v is no answer", bad)
		}
	}
}
