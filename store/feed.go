package store

import (
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// told is a change as other nodes read it in the feed. It names what changed, so that
// they forget it; only revocations travel whole, because memory is all that is asked
// about them, and because to apply one twice, or late, changes nothing.
type told struct {
	Topic  gatehouse.Topic `json:"topic"`
	Realm  string          `json:"realm,omitzero"`
	ID     string          `json:"id,omitzero"`
	List   int64           `json:"list,omitzero"`
	Places []int64         `json:"places,omitzero"` // the status bits of List
	Cutoff *toldCutoff     `json:"cutoff,omitzero"`
}

type toldCutoff struct {
	Kind    revocation.CutoffKind `json:"kind"`
	ID      string                `json:"id,omitzero"`
	Before  int64                 `json:"before"`           // microseconds since 1970
	Expires int64                 `json:"expires,omitzero"` // likewise; 0 is never
}

// topicWait says that somebody waits until the others have applied everything that was
// committed before. A version that does not know the topic tells within a second all the
// same.
const topicWait gatehouse.Topic = "wait"

// maxTold is how many changes of one transaction are told one by one. Of more, others
// load the whole topic.
const maxTold = 10_000

// encodeChanges writes the changes of one transaction as a row of the feed.
func encodeChanges(changes []gatehouse.Change) (string, error) {
	type listKey struct {
		realm string
		list  int64
	}
	var out []told
	lists := map[listKey]int{}
	type topicKey struct {
		topic gatehouse.Topic
		realm string
	}
	wide := map[topicKey]bool{}
	for _, c := range changes {
		t := told{Topic: c.Topic, Realm: c.Realm, ID: c.ID}
		if len(changes) > maxTold {
			if key := (topicKey{c.Topic, c.Realm}); !wide[key] {
				wide[key] = true
				out = append(out, told{Topic: c.Topic, Realm: c.Realm})
			}
			continue
		}
		switch v := c.Value.(type) {
		case revocation.StatusBit:
			key := listKey{v.Realm, v.List}
			i, begun := lists[key]
			if !begun {
				i = len(out)
				lists[key] = i
				out = append(out, told{Topic: c.Topic, Realm: v.Realm, List: v.List})
			}
			out[i].Places = append(out[i].Places, v.Index)
			continue
		case revocation.Cutoff:
			t.Cutoff = &toldCutoff{Kind: v.Kind, ID: v.ID, Before: v.Before.UnixMicro()}
			if !v.ExpiresAt.IsZero() {
				t.Cutoff.Expires = v.ExpiresAt.UnixMicro()
			}
		}
		out = append(out, t)
	}
	text, err := json.Marshal(out)
	return string(text), err
}

// decodeChanges reads what [encodeChanges] wrote. What cannot be read, such as a row of
// a newer version, means that everything may have changed.
func decodeChanges(text []byte) []gatehouse.Change {
	var rows []told
	if err := exactjson.Unmarshal(text, &rows, json.RejectUnknownMembers(true)); err != nil || rows == nil {
		return everything()
	}
	var out []gatehouse.Change
	for _, t := range rows {
		c := gatehouse.Change{Topic: t.Topic, Realm: t.Realm, ID: t.ID}
		switch {
		case t.Cutoff != nil:
			cut := revocation.Cutoff{Realm: t.Realm, Kind: t.Cutoff.Kind, ID: t.Cutoff.ID, Before: time.UnixMicro(t.Cutoff.Before)}
			if t.Cutoff.Expires != 0 {
				cut.ExpiresAt = time.UnixMicro(t.Cutoff.Expires)
			}
			c.Value = cut
			out = append(out, c)
		case len(t.Places) > 0:
			for _, place := range t.Places {
				c.Value = revocation.NewStatusBit(t.Realm, t.List, place)
				out = append(out, c)
			}
		default:
			out = append(out, c)
		}
	}
	return out
}
