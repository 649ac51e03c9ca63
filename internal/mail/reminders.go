package mail

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// remindEvery is how often it is looked which keys end soon.
const remindEvery = 15 * time.Minute

// before are the times before the end of a key at which its owner is reminded, the longest
// first.
func before() []time.Duration { return []time.Duration{7 * 24 * time.Hour, 24 * time.Hour} }

// Ending is an API key that ends, and whom it belongs to.
type Ending struct {
	Realm, Key, Name string
	Account, Email   string
	EndsAt           time.Time
}

// Window asks for the keys that end after From and at or before To, and were made at least
// Lead before their end: who makes a key for an hour knows that it ends.
type Window struct {
	From, To time.Time
	Lead     time.Duration
	After    string // the id of the last key of the page before
	Limit    int
	// Once is how the names begin of the messages that there are already, see [onceOf].
	Once string
}

// onceOf names the reminder of a key and its end, so that there is one over all nodes, and
// another one when the end is moved. The store makes the same of the columns.
func onceOf(once, key string, ends time.Time) string {
	return fmt.Sprintf("%s/%s/%d", once, key, ends.UnixMicro())
}

// Keys reads which API keys end.
type Keys interface {
	// EndingKeys returns, by id, the keys of w that are good for anything and whose owner
	// has an address and was not reminded.
	EndingKeys(ctx context.Context, w Window) ([]Ending, error)
}

// Reminders remind the owners of API keys before these end: once a week before, and once a
// day before, over all nodes and restarts.
type Reminders struct {
	Queue *Queue
	Keys  Keys
	Run   gatehouse.Runner[Outgoing]
}

// Work reminds until ctx ends.
func (m *Reminders) Work(ctx context.Context) error {
	tick := time.NewTicker(remindEvery)
	defer tick.Stop()
	for {
		if err := m.remindDue(ctx); err != nil && ctx.Err() == nil {
			m.Queue.c.Logger.Error("reminders could not be queued; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// remindAtOnce is how many keys are read at once.
const remindAtOnce = 200

// remindDue queues what is due now.
func (m *Reminders) remindDue(ctx context.Context) error {
	if !m.Queue.On() {
		return nil
	}
	now := m.Queue.c.Now()
	leads := before()
	for i, lead := range leads {
		w := Window{From: now, To: now.Add(lead), Lead: lead, Limit: remindAtOnce, Once: fmt.Sprintf("%s/%dh", KindKeyExpires, int(lead.Hours()))}
		if i+1 < len(leads) { // nearer ends have their own reminder, and need not two
			w.From = now.Add(leads[i+1])
		}
		for {
			keys, err := m.Keys.EndingKeys(ctx, w)
			if err != nil {
				return err
			}
			for _, k := range keys {
				w.After = k.Key
				if err := m.remind(ctx, w.Once, k); err != nil {
					return err
				}
			}
			if len(keys) < w.Limit {
				break
			}
		}
	}
	return nil
}

func (m *Reminders) remind(ctx context.Context, once string, k Ending) error {
	return m.Run(ctx, func(ctx context.Context, tx Outgoing) error {
		_, err := m.Queue.Put(ctx, tx, Message{Kind: KindKeyExpires, Realm: k.Realm, To: k.Email, Once: onceOf(once, k.Key, k.EndsAt),
			Data: Data{Account: k.Account, Key: k.Key, KeyName: k.Name, Ends: k.EndsAt}})
		return err
	})
}
