package testwait

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, asked := time.Now(), 0
		if !For(time.Second, func() bool { asked++; return asked == 5 }) || time.Since(began) != 4*every {
			t.Errorf("asked %d times in %v", asked, time.Since(began))
		}
		if For(time.Second, func() bool { return false }) || time.Since(began) > time.Second+5*every {
			t.Errorf("waited for %v", time.Since(began))
		}
		if !For(0, func() bool { return true }) {
			t.Error("not asked at all")
		}
	})
}
