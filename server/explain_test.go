package server_test

import (
	"testing"
	"time"
)

// TestExplainAtOnce: whoever takes the id of a request from its answer can ask about
// it in the next moment, and a listing is in the order of time although requests
// that ran side by side are stored as they ended.
func TestExplainAtOnce(t *testing.T) {
	t.Parallel()
	d := demo(t)
	as := []string{"bearer", d.AdminToken}
	base := d.Issuer + "/admin/v1/realms/main"
	for range 20 {
		id := call(t, "GET", d.Gateway+"/private").want(t, "nobody", 401).header.Get("X-Request-Id")
		if a := call(t, "GET", base+"/explain/"+id, as...); a.status != 200 {
			t.Fatalf("explain %s: %d %s", id, a.status, a.body)
		}
	}
	done := make(chan bool)
	for range 8 {
		go func() {
			for range 5 {
				call(t, "GET", d.Gateway+"/private", as...)
			}
			done <- true
		}()
	}
	for range 8 {
		<-done
	}
	last := call(t, "GET", d.Gateway+"/private", as...).header.Get("X-Request-Id")
	call(t, "GET", base+"/explain/"+last, as...).want(t, "the last request", 200)
	list := call(t, "GET", base+"/audit/events?limit=40", as...).want(t, "list", 200)
	items, _ := list.json["items"].([]any)
	if len(items) != 40 {
		t.Fatalf("%d events", len(items))
	}
	var before time.Time
	for i, x := range items {
		at, err := time.Parse(time.RFC3339Nano, x.(map[string]any)["time"].(string))
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && at.After(before) {
			t.Errorf("event %d of the list is later than the one before it", i)
		}
		before = at
	}
	// An id that nobody was given is answered without waiting.
	began := time.Now()
	call(t, "GET", base+"/explain/req_00000000000000000000000000", as...).want(t, "no such request", 404)
	if time.Since(began) > 2*time.Second {
		t.Error("an old id was waited for")
	}
}
