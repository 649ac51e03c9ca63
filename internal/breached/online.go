package breached

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/cache"
	"github.com/gatehouse-auth/gatehouse/internal/egress"
)

const (
	onlineTimeout = time.Second
	maxAnswer     = 512 << 10 // bytes; an answer has some 40,000
	keptAnswers   = 256       // of some 8 kB
	answerKept    = time.Hour
)

// OnlineConfig configures an [Online]. All fields are required.
type OnlineConfig struct {
	Now    func() time.Time
	Logger *slog.Logger
}

// Online asks a server that has the range protocol of Have I Been Pwned whether a password
// is known from a breach: GET <url>/range/<first five digits of its SHA-1>, which is all
// that the server learns; "Add-Padding" hides from the network how many answers there are.
// It is safe for concurrent use.
type Online struct {
	cfg      OnlineConfig
	client   *egress.Client
	url      atomic.Pointer[string]
	answers  *cache.Cache[string, answer]
	failures atomic.Int64
}

// answer is what is listed under five digits, in order, for a while.
type answer struct {
	keys  []uint64
	until time.Time
}

// NewOnline returns an Online that asks nobody until [Online.SetURL].
func NewOnline(cfg OnlineConfig) *Online {
	return &Online{cfg: cfg, client: egress.New(egress.Config{AllowPrivate: true, Timeout: onlineTimeout}), // the operator may name a mirror of his own
		answers: cache.New[string, answer](keptAnswers)}
}

// SetURL says whom to ask from now on; "" is nobody.
func (o *Online) SetURL(url string) {
	if old := o.url.Swap(&url); old == nil || *old != url {
		o.answers.Clear()
	}
}

// Failures is how many questions had no usable answer.
func (o *Online) Failures() int64 { return o.failures.Load() }

// Known reports whether the server lists password. It takes a second at most. A server
// that does not answer is told in the log and counted, and lists nothing: somebody who can
// keep it from answering must not be able to keep people from changing their passwords.
// The error is always nil.
func (o *Online) Known(ctx context.Context, password gatehouse.Secret) (bool, error) {
	url := o.url.Load()
	if url == nil || *url == "" {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, onlineTimeout)
	defer cancel()
	for _, h := range hashes(password) {
		prefix := fmt.Sprintf("%X", h[:3])[:5]
		a, _ := o.answers.Get(prefix)
		if !o.cfg.Now().Before(a.until) {
			keys, err := o.ask(ctx, *url, prefix)
			if err != nil {
				o.failures.Add(1)
				o.cfg.Logger.WarnContext(ctx, "whether a new password is known from a breach could not be asked; it is taken", "cause", err)
				return false, nil
			}
			a = answer{keys, o.cfg.Now().Add(answerKept)}
			o.answers.Set(prefix, a)
		}
		if _, listed := slices.BinarySearch(a.keys, key(h[:])); listed {
			return true, nil
		}
	}
	return false, nil
}

// ask returns what is listed under prefix, in order.
func (o *Online) ask(ctx context.Context, url, prefix string) ([]uint64, error) {
	body, err := o.client.Stream(ctx, strings.TrimSuffix(url, "/")+"/range/"+prefix, http.Header{"Add-Padding": {"true"}})
	if err != nil {
		var e *gatehouse.Error
		if errors.As(err, &e) && e.Cause != nil {
			err = fmt.Errorf("%s: %w", e.Code, e.Cause)
		}
		return nil, err
	}
	defer body.Close()
	keys := []uint64{}
	bounded := &io.LimitedReader{R: body, N: maxAnswer + 1}
	lines := bufio.NewScanner(bounded)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		e, err := parseLine([]byte(prefix + line))
		if err != nil {
			return nil, fmt.Errorf("a line of the answer %w", err)
		}
		if e.count > 0 { // the others are padding
			keys = append(keys, e.key)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if bounded.N == 0 {
		return nil, errors.New("the answer is too large")
	}
	slices.Sort(keys)
	return keys, nil
}
