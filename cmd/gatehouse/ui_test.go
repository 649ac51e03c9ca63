package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestGallery: the pages are shown on this machine and to nobody else, until the command is told to stop.
func TestGallery(t *testing.T) {
	var said bytes.Buffer
	if code := run(t.Context(), []string{"gatehouse", "ui", "gallery", "--listen", "0.0.0.0:0"}, nil, io.Discard, &said, nil); code != exitUsage {
		t.Errorf("for all to see: %d %s", code, said.String())
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"gatehouse", "ui", "gallery", "--json", "--listen", "127.0.0.1:0"}, nil, w, io.Discard, nil)
		_ = w.Close()
	}()
	var at struct {
		URL string `json:"url"`
	}
	if err := json.NewDecoder(r).Decode(&at); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	res, err := http.Get(at.URL + "/signin/wrong")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || !strings.Contains(string(body), `id="password-error"`) {
		t.Errorf("%d %s, %v", res.StatusCode, body, err)
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("it ends with %d", code)
	}
}
