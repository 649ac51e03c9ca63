package rar

import (
	"encoding/json"
	"math/big"
	"reflect"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/decimal"
)

// fits reports whether a member of a detail is no wider than that of another by a rule of [gatehouse.DetailType]; by a rule that is
// none, nothing is.
func fits(rule string, asked, have any) bool {
	switch rule {
	case ruleEqual:
		return equal(asked, have)
	case ruleSubset:
		return subset(asked, have)
	case ruleAtMost:
		order, ok := compared(asked, have)
		return ok && order <= 0
	case ruleAtLeast:
		order, ok := compared(asked, have)
		return ok && order >= 0
	}
	return false
}

const ruleEqual, ruleSubset, ruleAtMost, ruleAtLeast = "equal", "subset", "at_most", "at_least"

// Within reports whether each of asked is no wider than one of have, by the rules of its type, and each than another one: two payments
// are not within one. Both were read before.
func Within(types []gatehouse.DetailType, asked, have gatehouse.Details) bool {
	by := make([]int, len(have)) // of each of have, which one of asked leans on it, counted from 1
	var lean func(i int, tried []bool) bool
	lean = func(i int, tried []bool) bool {
		for at, h := range have {
			if tried[at] || !narrower(types, asked[i], h) {
				continue
			}
			tried[at] = true
			if by[at] == 0 || lean(by[at]-1, tried) { // who leans on it may find another one
				by[at] = i + 1
				return true
			}
		}
		return false
	}
	for i := range asked {
		if !lean(i, make([]bool, len(have))) {
			return false
		}
	}
	return true
}

func narrower(types []gatehouse.DetailType, asked, have string) bool {
	a, err := object(jsontext.Value(asked))
	if err != nil {
		return false
	}
	h, err := object(jsontext.Value(have))
	if err != nil || a["type"] != h["type"] {
		return false
	}
	name, _ := a["type"].(string)
	t, ok := typeOf(types, name)
	return ok && members(t.Compare, "", a, h)
}

// members compares two objects, at a path. A member that one of them alone has makes them different: what its absence means, nobody said.
func members(by map[string]string, at string, asked, have map[string]any) bool {
	if len(asked) != len(have) {
		return false
	}
	for name, a := range asked {
		h, ok := have[name]
		if !ok {
			return false
		}
		path := at + name
		rule, named := by[path]
		inner, isObject := a.(map[string]any)
		theirs, areObject := h.(map[string]any)
		switch {
		case named && !fits(rule, a, h):
			return false
		case named:
		case isObject && areObject:
			if !members(by, path+".", inner, theirs) {
				return false
			}
		case !equal(a, h):
			return false
		}
	}
	return true
}

func equal(asked, have any) bool { return reflect.DeepEqual(asked, have) }

// subset is for lists: each of asked is one of have. An empty list is within an empty one alone: to some APIs it means everything.
func subset(asked, have any) bool {
	a, isList := asked.([]any)
	h, areList := have.([]any)
	if isList && len(a) == 0 {
		return areList && len(h) == 0
	}
	return isList && areList && !slices.ContainsFunc(a, func(x any) bool { return !slices.ContainsFunc(h, func(y any) bool { return equal(x, y) }) })
}

// compared is for numbers, also those that are written as texts, as amounts of money are.
func compared(asked, have any) (order int, ok bool) {
	a, isNumber := number(asked)
	h, areNumber := number(have)
	if !isNumber || !areNumber {
		return 0, false
	}
	return a.Cmp(h), true
}

func number(v any) (*big.Rat, bool) {
	text := ""
	switch v := v.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = v
	}
	if len(text) > maxNumber {
		return nil, false
	}
	n, err := decimal.Parse(text)
	if err != nil {
		return nil, false
	}
	return new(big.Rat).SetString(n.String())
}
