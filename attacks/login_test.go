package attacks_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// from is an address of the documentation network that no other test uses.
func from(third, last int) string { return fmt.Sprintf("10.%d.%d.%d", 200+third/256, third%256, last) }

// TestEnumeration: nobody finds out which accounts exist, by text, status, header,
// size or time.
//
// ASVS: 6.3.8
func TestEnumeration(t *testing.T) {
	w := the(t)
	known, disabled := w.person(t, "main"), w.person(t, "main")
	w.admin(t, "PATCH", "/realms/main/users/"+disabled.id, object{"disabled": true}, 200)
	service := "s" + random()[:9]
	w.admin(t, "POST", "/realms/main/users", object{"username": service, "kind": "service"}, 201)
	call(t, "POST", w.Issuer+"/tokens", "basic", known.name+":"+known.password).want(t, "the right password", 200)

	kinds := []struct{ what, name, password string }{{"wrong password", known.name, "wrong-" + known.password}, {"unknown user", "", "wrong-password-of-a-length"},
		{"disabled user", disabled.name, disabled.password}, {"without a password", service, "wrong-password-of-a-length"}}
	ask := map[string]func(user, address string) answer{
		"token endpoint": func(u, addr string) answer { return call(t, "POST", w.Issuer+"/tokens", "basic", u, "from", addr) },
		"gateway":        func(u, addr string) answer { return call(t, "GET", w.Gateway+"/private", "basic", u, "from", addr) },
	}
	n := 0
	for place, ask := range ask {
		var first answer
		took := make([][]time.Duration, len(kinds))
		const rounds = 7
		for range rounds {
			for i, k := range kinds {
				name := k.name
				if name == "" {
					name = "u" + random()[:10]
				}
				n++
				a := ask(name+":"+k.password, from(n, 1)) // no throttle may blur the times
				if a.status != 401 || a.code() != "invalid_credentials" {
					t.Fatalf("%s, %s: %d %s", place, k.what, a.status, a.body)
				}
				if first.status == 0 {
					first = a
				}
				if !same(a, first) {
					t.Errorf("%s: %s looks different:\n%v %s\n%v %s", place, k.what, a.header, a.body, first.header, first.body)
				}
				took[i] = append(took[i], a.took)
			}
		}
		// The shortest of each: what else the machine does only makes them longer.
		shortest := make([]time.Duration, len(kinds))
		for i := range took {
			shortest[i] = slices.Min(took[i])
		}
		// A hash takes tens of milliseconds, a look-up less than one: whoever
		// leaves one out differs by far more than a factor of three.
		if lo, hi := slices.Min(shortest), slices.Max(shortest); hi > 3*lo {
			t.Errorf("%s: time tells them apart: %v for %v", place, shortest, kinds)
		}
	}
}

// TestBruteForce: one account, one address.
//
// ASVS: 6.3.1
func TestBruteForce(t *testing.T) {
	w := the(t)
	p := w.person(t, "main")
	here := from(0, 77)
	wrong, limited := 0, answer{}
	for range 20 {
		a := call(t, "POST", w.Issuer+"/tokens", "basic", p.name+":guess"+random(), "from", here).want(t, "guess", 401, 429)
		if a.status == 401 {
			wrong++
		} else {
			limited = a
		}
	}
	if wrong > 10 || limited.status != 429 || limited.header.Get("Retry-After") == "" {
		t.Errorf("%d of 20 guesses were tried; then %d %v", wrong, limited.status, limited.header)
	}
	// Not even a right guess gets through meanwhile, at either door.
	call(t, "POST", w.Issuer+"/tokens", "basic", p.name+":"+p.password, "from", here).want(t, "right, too soon", 429)
	call(t, "GET", w.Gateway+"/private", "basic", p.name+":"+p.password, "from", here).want(t, "right, too soon, at the gateway", 429)
	call(t, "POST", w.Issuer+"/tokens", "basic", p.name+":"+p.password, "from", from(0, 78)).want(t, "from elsewhere", 200)
}

// TestStuffingFromOneAddress: a list of stolen passwords for many accounts.
//
// ASVS: 6.3.1
func TestStuffingFromOneAddress(t *testing.T) {
	w := the(t)
	p := w.person(t, "main")
	here := from(0, 87)
	wrong, limited := 0, 0
	for range 60 {
		switch call(t, "POST", w.Issuer+"/tokens", "basic", "u"+random()[:10]+":stolen-password-123", "from", here).want(t, "stolen", 401, 429).status {
		case 401:
			wrong++
		case 429:
			limited++
		}
	}
	if wrong > 40 || limited == 0 {
		t.Errorf("%d of 60 were tried", wrong)
	}
	call(t, "POST", w.Issuer+"/tokens", "basic", p.name+":"+p.password, "from", here).want(t, "the hit in the list", 429)
	call(t, "POST", w.Issuer+"/tokens", "basic", p.name+":"+p.password, "from", from(0, 88)).want(t, "from elsewhere", 200)
}

// TestStuffingOneAccount: many addresses, one victim, who must not be locked out.
//
// ASVS: 6.3.1
func TestStuffingOneAccount(t *testing.T) {
	w := the(t)
	p := w.person(t, "main")
	home := from(0, 97)
	call(t, "POST", w.Issuer+"/tokens", "basic", p.name+":"+p.password, "from", home).want(t, "at home", 200)
	wrong, limited := 0, 0
	for i := range 50 {
		switch call(t, "POST", w.Issuer+"/tokens", "basic", p.name+":guess"+random(), "from", from(600+i, 9)).want(t, "guess", 401, 429).status {
		case 401:
			wrong++
		case 429:
			limited++
		}
	}
	if wrong > 30 || limited == 0 {
		t.Errorf("%d of 50 guesses were tried", wrong)
	}
	call(t, "POST", w.Issuer+"/tokens", "basic", p.name+":"+p.password, "from", from(700, 9)).want(t, "a stranger's right guess", 429)
	call(t, "POST", w.Issuer+"/tokens", "basic", p.name+":"+p.password, "from", home).want(t, "the victim, at home", 200)
	// The address that counts is the last one that no trusted proxy wrote.
	call(t, "POST", w.Issuer+"/tokens", "basic", p.name+":"+p.password, "from", home+", "+from(701, 9)).want(t, "home claimed", 429)
}
