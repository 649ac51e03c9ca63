//go:build unix

package faults_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// A family is one grant with its refresh tokens. What was asked of it, and answered, is
// its history; porcupine looks for an order of single steps that explains it.
type family struct {
	began time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
	last  int // number of clients
}

// asked is what somebody wants of a grant: to redeem a token, or, without one, its end;
// begin is its beginning.
type asked struct {
	token string
	begin bool
}

// answered is what came of it: the next token, a refusal, or no answer that says.
type answered struct {
	next    string
	refused bool
	unknown bool
}

// record notes what was asked of the family and what the answer says: 200 with the next
// token, or 204, is a success, 400 and 401 are refusals. All else says nothing: it may have happened,
// or happen later.
func (f *family) record(in asked, ask func() answer) answer {
	call := time.Since(f.began)
	a := ask()
	op := porcupine.Operation{Input: in, Call: int64(call), Return: int64(time.Since(f.began))}
	switch a.status {
	case 200, 204:
		op.Output = answered{next: a.text("refresh_token")}
	case 400, 401:
		op.Output = answered{refused: true}
	default:
		op.Output, op.Return = answered{unknown: true}, math.MaxInt64
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	op.ClientId = f.last
	f.last++
	f.ops = append(f.ops, op)
	return a
}

// grantState is a grant as the realm of the test has it, where no answer is given twice.
type grantState struct {
	begun, ended bool
	current      string // the only token that is good; unknown when its answer was lost
}

const nobodyKnows = "?"

// singleUse is what a grant does: its current token is redeemed once and by one, any other
// one ends it, and from its end on everything is refused.
var singleUse = porcupine.NondeterministicModel{
	Init: func() []any { return []any{grantState{}} },
	Step: func(state, input, output any) []any {
		s, in, out := state.(grantState), input.(asked), output.(answered)
		done, may := s, true // the state when it happens, and whether it can
		switch {
		case in.begin:
			done, may = grantState{begun: true, current: out.next}, !s.begun && !out.refused
		case in.token == "": // its end
			done.ended = true
			may = !out.refused || s.ended
		case s.ended:
			may = out.refused || out.unknown
		case in.token == s.current:
			done.current = out.next
			if out.unknown {
				done.current = nobodyKnows
			}
			may = !out.refused
		default: // used before, or made by a step whose answer was lost
			done.ended = true
			may = out.refused || out.unknown
			if s.current == nobodyKnows && out.next != "" {
				done, may = s, false
			}
		}
		var next []any
		if may {
			next = append(next, done)
		}
		if out.unknown && !in.begin {
			next = append(next, s)
		}
		return next
	},
}

// oneRequest is what a ticket is for: it is used once, at whatever node. The state is
// whether it was.
var oneRequest = porcupine.NondeterministicModel{
	Init: func() []any { return []any{false} },
	Step: func(state, _, output any) []any {
		switch used, out := state.(bool), output.(answered); {
		case out.unknown:
			return []any{used, true}
		case out.refused == used:
			return []any{true}
		}
		return nil
	},
}

func (f *family) check(t *testing.T, of porcupine.NondeterministicModel) {
	t.Helper()
	model := of.ToModel()
	switch porcupine.CheckOperationsTimeout(model, f.ops, 30*time.Second) {
	case porcupine.Illegal:
		t.Errorf("no order of single uses explains this history: %s", f)
	case porcupine.Unknown:
		t.Errorf("too long a history: %s", f)
	}
}

func (f *family) String() (text string) {
	for _, op := range f.ops {
		in, out := op.Input.(asked), op.Output.(answered)
		text += fmt.Sprintf("\n%v to %v: %s begin %v: next %s refused %v unknown %v", time.Duration(op.Call), time.Duration(op.Return), end(in.token), in.begin, end(out.next), out.refused, out.unknown)
	}
	return text
}

func end(s string) string { return s[max(0, len(s)-6):] }

// redeemers log in, have all three nodes redeem each refresh token at once, and end half of
// the grants meanwhile, until the function that they return is called; it checks all
// histories.
func (h *house) redeemers(t *testing.T, count int) (check func()) {
	t.Helper()
	h.front.manage("PATCH", "", `{"settings":{"refresh_grace":"-1s"}}`).want(t, "no answer is given again", 200)
	stop := make(chan struct{})
	var running sync.WaitGroup
	var mu sync.Mutex
	var families, tickets []*family
	for range count {
		running.Go(func() {
			pace := time.NewTicker(50 * time.Millisecond)
			defer pace.Stop()
			for {
				select {
				case <-stop:
					return
				case <-pace.C:
				}
				if f := h.family(); f != nil {
					mu.Lock()
					families = append(families, f)
					mu.Unlock()
				}
				if f := h.ticket(); f != nil {
					mu.Lock()
					tickets = append(tickets, f)
					mu.Unlock()
				}
			}
		})
	}
	return func() {
		close(stop)
		running.Wait()
		contested, unknown := 0, 0
		used := 0
		for _, f := range tickets {
			f.check(t, oneRequest)
			for _, op := range f.ops {
				if out := op.Output.(answered); !out.refused && !out.unknown {
					used++
				}
			}
		}
		for _, f := range families {
			f.check(t, singleUse)
			winners := map[string]int{}
			for _, op := range f.ops {
				in, out := op.Input.(asked), op.Output.(answered)
				if out.unknown {
					unknown++
				}
				if in.token != "" && out.next != "" {
					winners[in.token]++
				}
			}
			contested += len(winners)
		}
		t.Logf("%d grants: %d tokens redeemed that several nodes were asked to, %d answers that say nothing", len(families), contested, unknown)
		t.Logf("%d tickets, of which %d were used, each at one of three nodes that were asked at once", len(tickets), used)
		if contested == 0 || used == 0 {
			t.Error("no token was redeemed, or no ticket used")
		}
	}
}

// family is the history of one grant.
func (h *house) family() *family {
	f := &family{began: time.Now()}
	login := f.record(asked{begin: true}, func() answer { return h.front.do("POST", h.front.auth+"/tokens", "person:"+personPassword, "") })
	if login.status != 200 {
		return nil
	}
	access, refresh := login.text("access_token"), login.text("refresh_token")
	h.front.secret(access, refresh)
	for range 3 {
		// Alone first, so that a family lives on, then all at once.
		nodes := h.nodes[:1]
		if rand.IntN(2) == 0 {
			nodes = h.nodes[:]
		}
		answers := make([]answer, len(nodes))
		var all sync.WaitGroup
		for i, n := range nodes {
			all.Go(func() {
				answers[i] = f.record(asked{token: refresh}, func() answer {
					return n.do("POST", n.auth+"/tokens/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, refresh))
				})
			})
		}
		if rand.IntN(4) == 0 {
			all.Go(func() {
				f.record(asked{}, func() answer { return h.front.do("DELETE", h.front.auth+"/tokens", access, "") })
			})
		}
		all.Wait()
		for _, a := range answers {
			if next := a.text("refresh_token"); a.status == 200 && next != "" {
				h.front.secret(next)
				access, refresh = a.text("access_token"), next
			}
		}
	}
	return f
}

// ticket is the history of one ticket, which all three nodes are given at once.
func (h *house) ticket() *family {
	var key string
	h.truth.note(func() {
		if good := h.truth.good; len(good) > 0 {
			key = good[rand.IntN(len(good))]
		}
	})
	if key == "" {
		return nil
	}
	f := &family{began: time.Now()}
	by := h.nodes[rand.IntN(len(h.nodes))]
	asking := node{client: plain, host: "api.example.com"} // a ticket is good at one host
	text := asking.do("POST", by.gateway+"/.gatehouse/ticket/live", key, "").text("ticket")
	if text == "" {
		return nil
	}
	h.front.secret(text)
	var all sync.WaitGroup
	for _, n := range h.nodes {
		all.Go(func() {
			f.record(asked{token: text}, func() answer {
				a := asking.do("GET", n.gateway+"/live?ticket="+text, "", "")
				if time.Since(f.began) > 20*time.Second {
					a.status = 0 // it may have ended before it was used
				}
				return a
			})
		})
	}
	all.Wait()
	return f
}

// TestSingleUseModel shows that the model finds a double use, and a use after the end.
func TestSingleUseModel(t *testing.T) {
	at := func(call, back int64, in asked, out answered) porcupine.Operation {
		return porcupine.Operation{Input: in, Output: out, Call: call, Return: back}
	}
	begin := at(0, 1, asked{begin: true}, answered{next: "a"})
	never := int64(math.MaxInt64)
	for name, test := range map[string]struct {
		ops []porcupine.Operation
		ok  bool
	}{
		"one wins":                 {[]porcupine.Operation{begin, at(2, 9, asked{token: "a"}, answered{next: "b"}), at(3, 8, asked{token: "a"}, answered{refused: true})}, true},
		"two win":                  {[]porcupine.Operation{begin, at(2, 9, asked{token: "a"}, answered{next: "b"}), at(3, 8, asked{token: "a"}, answered{next: "c"})}, false},
		"the same answer twice":    {[]porcupine.Operation{begin, at(2, 9, asked{token: "a"}, answered{next: "b"}), at(3, 8, asked{token: "a"}, answered{next: "b"})}, false},
		"nobody wins":              {[]porcupine.Operation{begin, at(2, 9, asked{token: "a"}, answered{refused: true})}, false},
		"a lost answer":            {[]porcupine.Operation{begin, at(2, never, asked{token: "a"}, answered{unknown: true}), at(10, 11, asked{token: "a"}, answered{refused: true})}, true},
		"no answer, no use":        {[]porcupine.Operation{begin, at(2, never, asked{token: "a"}, answered{unknown: true}), at(10, 11, asked{token: "a"}, answered{next: "b"})}, true},
		"a loser ends all":         {[]porcupine.Operation{begin, at(2, 3, asked{token: "a"}, answered{next: "b"}), at(4, 5, asked{token: "a"}, answered{refused: true}), at(6, 7, asked{token: "b"}, answered{next: "c"})}, false},
		"a use after the end":      {[]porcupine.Operation{begin, at(2, 3, asked{}, answered{}), at(4, 5, asked{token: "a"}, answered{next: "b"})}, false},
		"a use beside the end":     {[]porcupine.Operation{begin, at(2, 5, asked{}, answered{}), at(3, 4, asked{token: "a"}, answered{next: "b"})}, true},
		"an end that may not have": {[]porcupine.Operation{begin, at(2, never, asked{}, answered{unknown: true}), at(4, 5, asked{token: "a"}, answered{next: "b"})}, true},
	} {
		if got := porcupine.CheckOperations(singleUse.ToModel(), test.ops); got != test.ok {
			t.Errorf("%s: explained %v", name, got)
		}
	}
}

// TestOneRequestModel shows that the model finds a ticket that was used twice, or by nobody.
func TestOneRequestModel(t *testing.T) {
	at := func(call, back int64, out answered) porcupine.Operation {
		return porcupine.Operation{Input: asked{token: "a"}, Output: out, Call: call, Return: back}
	}
	never := int64(math.MaxInt64)
	for name, test := range map[string]struct {
		ops []porcupine.Operation
		ok  bool
	}{
		"one wins":              {[]porcupine.Operation{at(1, 9, answered{refused: true}), at(2, 8, answered{}), at(3, 7, answered{refused: true})}, true},
		"two win":               {[]porcupine.Operation{at(1, 9, answered{}), at(2, 8, answered{})}, false},
		"nobody wins":           {[]porcupine.Operation{at(1, 9, answered{refused: true}), at(2, 8, answered{refused: true})}, false},
		"refused, then let in":  {[]porcupine.Operation{at(1, 2, answered{refused: true}), at(3, 4, answered{})}, false},
		"a lost answer":         {[]porcupine.Operation{at(1, never, answered{unknown: true}), at(2, 8, answered{refused: true})}, true},
		"no answer, and no use": {[]porcupine.Operation{at(1, never, answered{unknown: true}), at(2, 8, answered{})}, true},
	} {
		if got := porcupine.CheckOperations(oneRequest.ToModel(), test.ops); got != test.ok {
			t.Errorf("%s: explained %v", name, got)
		}
	}
}
