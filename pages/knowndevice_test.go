package pages

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

// TestDeviceOfASignIn: each attempt tells the device cookie of its browser, and whoever has a session
// then is noted with it, after the code where one is asked for.
func TestDeviceOfASignIn(t *testing.T) {
	h := newHouse(t, true)
	bob := h.browser()
	bob.signIn("")
	if len(h.tried) != 1 || h.tried[0].Device != "" || len(h.signedIn) != 1 || !strings.HasPrefix(h.signedIn[0], "usr_bob ") {
		t.Fatalf("the first time: %+v, %q", h.tried, h.signedIn)
	}
	device := strings.TrimPrefix(h.signedIn[0], "usr_bob ")
	bob.send("/signout", bob.get("/signout").fields().Encode())
	bob.signIn("")
	if len(device) != deviceLength || h.tried[1].Device != gatehouse.Secret(device) || h.signedIn[1] != h.signedIn[0] {
		t.Errorf("the second time: %+v, %q", h.tried[1:], h.signedIn)
	}
	amy := h.browser()
	asked := amy.get(amy.password("", "").header.Get("Location"))
	amy.send("/signin/factor", asked.fields("code", "654321").Encode())
	if len(h.signedIn) != 2 {
		t.Errorf("before the code: %q", h.signedIn)
	}
	amy.send("/signin/factor", asked.fields("code", rightCode).Encode()).want(t, "the code", 303)
	if len(h.signedIn) != 3 || !strings.HasPrefix(h.signedIn[2], "usr_amy ") {
		t.Errorf("after the code: %q", h.signedIn)
	}
}
