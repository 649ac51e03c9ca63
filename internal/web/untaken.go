package web

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// untakenEvery is how often the log is told of answers that nobody took.
const untakenEvery = time.Minute

// Untaken tells the log of answers that were cut since their callers did not take them, or had left: at most once a minute,
// and of how many. Strangers can be the cause, as often as they like, so each is no error and has no line of its own. nil
// tells nothing; safe for concurrent use.
type Untaken struct {
	Logger *slog.Logger // required

	mu   sync.Mutex
	told time.Time // when the log was told last
	n    int       // answers since then
}

func (u *Untaken) note(ctx context.Context, err error) {
	if u == nil {
		return
	}
	u.mu.Lock()
	u.n++
	n, due := u.n, time.Since(u.told) >= untakenEvery
	if due {
		u.n, u.told = 0, time.Now()
	}
	u.mu.Unlock()
	if due {
		u.Logger.LogAttrs(ctx, slog.LevelInfo, "answers were cut: their callers did not take them, or left", slog.Int("answers", n), slog.Any("last", err))
	}
}
