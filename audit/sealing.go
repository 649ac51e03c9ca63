package audit

import (
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/personal"
)

// sealing is what one event is encoded with.
type sealing struct {
	persons Persons
	event   *gatehouse.Event
}

// appendMember is [appendMember] for a value that tells of subject, if that is a person.
func (s sealing) appendMember(b []byte, first int, name, member, subject, value string, limit int) []byte {
	if s.persons == nil || !isPerson(subject) || value == "" {
		return appendMember(b, first, name, value, limit)
	}
	key := s.persons(s.event.Realm, subject)
	if key == nil {
		return b
	}
	if len(b) != first {
		b = append(b, ',')
	}
	return s.append(append(b, name...), key, member, value, limit)
}

// append writes a sealed value as a JSON string. A value is cut before it is sealed, as it would be in clear.
func (s sealing) append(b []byte, key *personal.Key, member, value string, limit int) []byte {
	if len(value) > limit {
		value = strings.ToValidUTF8(value[:limit], "") + cutMark
	}
	return append(key.Append(append(b, '"'), member, strings.ToValidUTF8(value, "\ufffd")), '"')
}

// detail is what [appendDetail] needs to know of the event: for a detail that is sealed its key, or that it is left out.
func (s sealing) detail(name string) (key *personal.Key, sealed bool) {
	subject := whom(s.event)
	if s.persons == nil || subject == "" || !tellsOfPerson(s.event.Kind, name) {
		return nil, false
	}
	return s.persons(s.event.Realm, subject), true
}
