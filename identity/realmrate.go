package identity

import "time"

// bucket is the leaky one of a realm: failures of all unknown networks together. Each realm
// has its own, so that who attacks one slows nobody of another; what they do to the machine
// is bounded by the queue of passwords.
type bucket struct {
	level float64 // at at
	at    time.Time
}

// bucket is that of a realm. Who is the least recently asked about goes first when there are
// too many: realms are made by administrators, so no caller can bring that about.
func (t *Throttle) bucket(realm string) *bucket {
	b := t.realms.get(realm)
	if b == nil {
		b = &bucket{at: t.cfg.Now()}
		t.realms.put(realm, b)
	}
	return b
}

// drain lets a bucket leak up to now.
func (t *Throttle) drain(b *bucket, now time.Time) {
	if d := now.Sub(b.at); d > 0 {
		b.level = max(0, b.level-d.Seconds()*t.cfg.GlobalRate)
		b.at = now
	}
}

// full is how long it takes until a bucket has room for one more, which is none when it has.
func (t *Throttle) full(b *bucket, now time.Time) time.Duration {
	t.drain(b, now)
	over := b.level + 1 - t.cfg.GlobalBurst
	return max(0, time.Duration(over/t.cfg.GlobalRate*float64(time.Second)))
}
