package policy

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/decimal"
)

// Limits on one entity or context.
const (
	MaxValueDepth   = 8
	MaxValues       = 10_000 // values in one entity, members of sets and records counted
	MaxValueBytes   = 256 << 10
	MaxParents      = 1_000
	maxReferenceLen = 1_024
)

// Entity is something that policies may look at: a UID, attributes and parents,
// converted and bounded. It is immutable and may be shared. The zero Entity has
// no name and is refused by [Set.Evaluate].
type Entity struct {
	e    cedar.Entity
	kept *kept // what sets worked out about it; nil when nothing is remembered
}

// keep returns e for use in many decisions: what a [Set] works out about it as a
// principal is remembered with it.
func (e Entity) keep() Entity {
	e.kept = &kept{}
	return e
}

// kept belongs to one entity, and holds what the set that asked last found.
type kept struct {
	principal atomic.Pointer[principalFacts]
}

// principalFacts are true of one entity under one set: it conforms to the schema,
// and policies about it lie under these keys of the index.
type principalFacts struct {
	set  *Set
	keys []uint32
}

// under returns what is known under s, or nil.
func (k *kept) under(s *Set) *principalFacts {
	if k == nil {
		return nil
	}
	if f := k.principal.Load(); f != nil && f.set == s {
		return f
	}
	return nil
}

// Ref returns the name of e.
func (e Entity) Ref() gatehouse.EntityRef {
	return gatehouse.EntityRef{Type: string(e.e.UID.Type), ID: string(e.e.UID.ID)}
}

// NewEntity converts attributes and parents for evaluation.
//
// Values: string; bool; every Go integer that fits int64; JSON numbers kept as
// text, and float64 that cannot have been rounded, as Long when whole and as decimal
// when they have at most four decimals, else an error; []any, []string and []gatehouse.EntityRef as sets;
// map[string]any as a record; gatehouse.EntityRef as an entity;
// netip.Addr and netip.Prefix as ipaddr; time.Time as datetime. A nil member is
// left out. Anything else is an error, and an error must deny.
func NewEntity(ref gatehouse.EntityRef, attributes map[string]any, parents []gatehouse.EntityRef) (Entity, error) {
	return newEntity(ref, attributes, parents, false)
}

// StoredEntity converts an entity that was pushed through the management API.
// In its attributes {"__entity": {"type": …, "id": …}} is a reference and
// {"__extn": {"fn": "ip", "arg": …}} a value of ip, decimal, datetime or
// duration, as in Cedar's JSON; what comes from requests has no such escapes.
func StoredEntity(r EntityRecord) (Entity, error) {
	parents := make([]gatehouse.EntityRef, len(r.Parents))
	for i, p := range r.Parents {
		parents[i] = gatehouse.EntityRef(p)
	}
	return newEntity(gatehouse.EntityRef{Type: r.Type, ID: r.ID}, r.Attributes, parents, true)
}

func newEntity(ref gatehouse.EntityRef, attributes map[string]any, parents []gatehouse.EntityRef, escapes bool) (Entity, error) {
	uid, err := entityUID(ref)
	if err != nil {
		return Entity{}, err
	}
	if len(parents) > MaxParents {
		return Entity{}, fmt.Errorf("more than %d parents", MaxParents)
	}
	e := cedar.Entity{UID: uid}
	if len(parents) > 0 {
		uids := make([]cedar.EntityUID, len(parents))
		for i, p := range parents {
			if uids[i], err = entityUID(p); err != nil {
				return Entity{}, fmt.Errorf("parent: %w", err)
			}
		}
		e.Parents = cedar.NewEntityUIDSet(uids...)
	}
	c := converter{escapes: escapes}
	if e.Attributes, err = c.record(attributes, 1); err != nil {
		return Entity{}, err
	}
	return Entity{e: e}, nil
}

// entityUID checks the type's syntax; an id is any text of bounded length.
func entityUID(ref gatehouse.EntityRef) (cedar.EntityUID, error) {
	if len(ref.Type) > maxNameBytes || len(ref.ID) > maxReferenceLen || !utf8.ValidString(ref.ID) {
		return cedar.EntityUID{}, errors.New("entity reference is too long or not UTF-8")
	}
	if !validType(ref.Type) {
		return cedar.EntityUID{}, fmt.Errorf("%q is not an entity type", ref.Type)
	}
	return cedar.NewEntityUID(cedar.EntityType(ref.Type), cedar.String(ref.ID)), nil
}

// validType accepts plain ASCII paths without allocating, and leaves the rest
// of the grammar to Cedar.
func validType(s string) bool {
	plain := s != ""
	for i := range len(s) {
		c := s[i]
		if c >= 0x80 || !wordByte(c) || c == '_' || (i == 0 && c >= '0' && c <= '9') {
			plain = false
			break
		}
	}
	if plain && s[0] >= 'A' && s[0] <= 'Z' { // reserved words are lower-case
		return true
	}
	_, err := types.NewEntityType(s)
	return err == nil
}

// actionUID reads an action: "read" is Action::"read"; the full form
// Space::Action::"read" names an action of a namespace.
func actionUID(s string) (cedar.EntityUID, error) {
	if s == "" || len(s) > maxReferenceLen || !utf8.ValidString(s) {
		return cedar.EntityUID{}, errors.New("action is empty, too long or not UTF-8")
	}
	if strings.HasSuffix(s, `"`) && strings.Contains(s, `Action::"`) {
		var uid cedar.EntityUID
		if err := uid.UnmarshalCedar([]byte(s)); err == nil && isActionType(uid.Type) {
			return uid, nil
		}
	}
	return cedar.NewEntityUID("Action", cedar.String(s)), nil
}

func isActionType(t cedar.EntityType) bool {
	return t == "Action" || strings.HasSuffix(string(t), "::Action")
}

type converter struct {
	escapes      bool
	count, bytes int
}

func (c *converter) spend(values, bytes int) error {
	c.count += values
	c.bytes += bytes
	if c.count > MaxValues || c.bytes > MaxValueBytes {
		return fmt.Errorf("more than %d values or %d bytes", MaxValues, MaxValueBytes)
	}
	return nil
}

func (c *converter) record(m map[string]any, depth int) (cedar.Record, error) {
	if len(m) == 0 {
		return cedar.Record{}, nil
	}
	if len(m) > MaxValues { // before the allocation below
		return cedar.Record{}, fmt.Errorf("more than %d values", MaxValues)
	}
	out := make(cedar.RecordMap, len(m))
	for k, v := range m {
		if err := c.member(out, k, v, depth); err != nil {
			return cedar.Record{}, err
		}
	}
	return cedar.NewRecord(out), nil
}

// member adds one member to a record; null is as if it were not there.
func (c *converter) member(out cedar.RecordMap, k string, v any, depth int) error {
	if v == nil {
		return nil
	}
	if !utf8.ValidString(k) {
		return errors.New("a member's name is not UTF-8")
	}
	if err := c.spend(0, len(k)); err != nil {
		return err
	}
	x, err := c.value(v, depth+1)
	if err != nil {
		return fmt.Errorf("%s: %w", clip(k), err)
	}
	out[cedar.String(k)] = x
	return nil
}

func (c *converter) set(n int, at func(int) any, depth int) (cedar.Value, error) {
	if n > MaxValues {
		return nil, fmt.Errorf("more than %d values", MaxValues)
	}
	out := make([]cedar.Value, n)
	for i := range n {
		x, err := c.value(at(i), depth+1)
		if err != nil {
			return nil, err
		}
		out[i] = x
	}
	return cedar.NewSet(out...), nil
}

func (c *converter) value(v any, depth int) (cedar.Value, error) {
	if depth > MaxValueDepth {
		return nil, fmt.Errorf("nested deeper than %d", MaxValueDepth)
	}
	if err := c.spend(1, 0); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case string:
		if !utf8.ValidString(v) {
			return nil, errors.New("text is not UTF-8")
		}
		return cedar.String(v), c.spend(0, len(v))
	case bool:
		return cedar.Boolean(v), nil
	case float64:
		return number(v)
	case gatehouse.EntityRef:
		return entityUID(v)
	case []any:
		return c.set(len(v), func(i int) any { return v[i] }, depth)
	case []string:
		return c.set(len(v), func(i int) any { return v[i] }, depth)
	case []gatehouse.EntityRef:
		return c.set(len(v), func(i int) any { return v[i] }, depth)
	case map[string]any:
		if c.escapes {
			if x, ok, err := escaped(v); ok || err != nil {
				return x, err
			}
		}
		return c.record(v, depth)
	case netip.Addr:
		if !v.IsValid() {
			return nil, errors.New("address is not valid")
		}
		v = v.WithZone("").Unmap()
		return cedar.IPAddr(netip.PrefixFrom(v, v.BitLen())), nil
	case netip.Prefix:
		if !v.IsValid() {
			return nil, errors.New("prefix is not valid")
		}
		return cedar.IPAddr(v), nil
	case time.Time:
		return cedar.NewDatetime(v), nil
	}
	return integer(v)
}

func integer(v any) (cedar.Value, error) {
	switch v := v.(type) {
	case int:
		return cedar.Long(v), nil
	case int8:
		return cedar.Long(v), nil
	case int16:
		return cedar.Long(v), nil
	case int32:
		return cedar.Long(v), nil
	case int64:
		return cedar.Long(v), nil
	case uint8:
		return cedar.Long(v), nil
	case uint16:
		return cedar.Long(v), nil
	case uint32:
		return cedar.Long(v), nil
	case uint:
		return integer(uint64(v))
	case uint64:
		if v > math.MaxInt64 {
			return nil, errors.New("number is out of range")
		}
		return cedar.Long(v), nil
	case interface { // a JSON number kept as text
		Int64() (int64, error)
		String() string
	}:
		n, err := decimal.Parse(v.String())
		if err != nil {
			return nil, errNumber
		}
		if whole, err := n.Int64(); err == nil {
			return cedar.Long(whole), nil
		}
		return decimalValue(n)
	}
	return nil, fmt.Errorf("values of type %T have no Cedar form", v)
}

// number converts a float64 that a Go program passed. From 2^53 on it may stand for
// another number than the one that was meant; with four decimals, sooner.
func number(f float64) (cedar.Value, error) {
	const whole, fraction = 1<<53 - 1, (1<<53 - 1) / 10_000
	switch {
	case f == math.Trunc(f) && math.Abs(f) <= whole:
		return cedar.Long(f), nil
	case math.Abs(f) <= fraction:
		n, err := decimal.Parse(strconv.FormatFloat(f, 'f', -1, 64))
		if err != nil {
			return nil, errNumber
		}
		return decimalValue(n)
	}
	return nil, errNumber
}

var errNumber = errors.New("number has neither a Long nor a decimal form")

func decimalValue(n decimal.Number) (cedar.Value, error) {
	d, err := types.ParseDecimal(n.String())
	if err != nil {
		return nil, errNumber
	}
	return d, nil
}

// escaped reads Cedar's JSON escapes. A record that has one of the two members
// and is not well formed is an error, never a plain record.
func escaped(m map[string]any) (cedar.Value, bool, error) {
	ent, isEntity := m["__entity"]
	ext, isExtension := m["__extn"]
	if !isEntity && !isExtension {
		return nil, false, nil
	}
	bad := errors.New("malformed __entity or __extn")
	body, _ := ent.(map[string]any)
	if isExtension {
		body, _ = ext.(map[string]any)
	}
	if len(m) != 1 || len(body) != 2 {
		return nil, false, bad
	}
	text := func(name string) string { s, _ := body[name].(string); return s }
	if isEntity {
		uid, err := entityUID(gatehouse.EntityRef{Type: text("type"), ID: text("id")})
		return uid, err == nil, err
	}
	var v cedar.Value
	var err error
	switch arg := text("arg"); text("fn") {
	case "ip":
		v, err = types.ParseIPAddr(arg)
	case "decimal":
		v, err = types.ParseDecimal(arg)
	case "datetime":
		v, err = types.ParseDatetime(arg)
	case "duration":
		v, err = types.ParseDuration(arg)
	default:
		return nil, false, bad
	}
	if err != nil {
		return nil, false, bad
	}
	return v, true, nil
}

// clip shortens a name for an error text.
func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
