package web

import (
	"context"
	"net/http"
	"time"
)

// Live answers 200 as long as the process serves.
func Live() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = WriteJSON(w, http.StatusOK, health{Status: "ok"})
	})
}

// health is the body; Notes are codes of what somebody should look at soon.
type health struct {
	Status string   `json:"status"`
	Notes  []string `json:"notes,omitempty"`
}

// Check is one thing that must work before traffic may come.
type Check struct {
	Name string // for the operator's log only
	Run  func(ctx context.Context) error
}

// readyTimeout bounds all checks of one answer together.
const readyTimeout = 2 * time.Second

// Ready answers 200 when every check passes within two seconds, else 503. The
// body never says which part failed or why (ASVS 13.4.5); failed does. notes, when not
// nil, are codes of what is no reason to send no traffic, and is to be looked at.
func Ready(failed func(name string, err error), notes func() []string, checks ...Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		for _, c := range checks {
			if err := c.Run(ctx); err != nil {
				if failed != nil {
					failed(c.Name, err)
				}
				_ = WriteJSON(w, http.StatusServiceUnavailable, health{Status: "unavailable"})
				return
			}
		}
		h := health{Status: "ok"}
		if notes != nil {
			h.Notes = notes()
		}
		_ = WriteJSON(w, http.StatusOK, h)
	})
}
