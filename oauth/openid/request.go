package openid

import (
	"errors"
	"slices"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
)

// Asked is what a client asks for by the parameter claims (Core §5.5).
type Asked struct {
	gatehouse.Claims
	// Subject is who the person must be; "" for anybody.
	Subject string
	// ACR are the levels of assurance that are asked for, the preferred one first. Essential: none below will do (Core §5.5.1.1).
	ACR       []string
	Essential bool
}

// maxClaims bounds how many claims one request may name.
const maxClaims = 100

var errClaims = errors.New("claims must be a JSON object whose members userinfo and id_token are objects of claims, each null or an object")

// ReadClaims reads the parameter claims. What it does not know it ignores, as Core §5.5 asks.
func ReadClaims(parameter string) (Asked, error) {
	var out Asked
	object, err := exactjson.Object([]byte(parameter))
	if err != nil {
		return out, errClaims
	}
	for member, names := range map[string]*[]string{"userinfo": &out.UserInfo, "id_token": &out.IDToken} {
		if object[member] == nil {
			continue
		}
		claims, ok := object[member].(map[string]any)
		if !ok || len(claims) > maxClaims {
			return out, errClaims
		}
		for name, how := range claims {
			w, err := readWant(how)
			if err != nil {
				return out, err
			}
			switch {
			case name == "sub" && len(w.values) > 0: // of both members it is the same person
				if len(w.values) > 1 || out.Subject != "" && out.Subject != w.values[0] {
					return out, errors.New("claims asks for more than one sub")
				}
				out.Subject = w.values[0]
			case name == "acr" && member == "id_token":
				out.ACR, out.Essential = w.values, w.essential && len(w.values) > 0
			case ScopeOf(name) != "":
				*names = append(*names, name)
			}
		}
		slices.Sort(*names)
	}
	return out, nil
}

// want is how one claim is asked for (Core §5.5.1).
type want struct {
	essential bool
	values    []string // texts that it should be one of
}

func readWant(how any) (w want, err error) {
	if how == nil {
		return w, nil
	}
	object, ok := how.(map[string]any)
	if !ok {
		return w, errClaims
	}
	if object["essential"] != nil {
		if w.essential, ok = object["essential"].(bool); !ok {
			return w, errClaims
		}
	}
	values, ok := object["values"].([]any)
	if object["values"] != nil && !ok {
		return w, errClaims
	}
	if object["value"] != nil {
		values = append(values, object["value"])
	}
	for _, v := range values {
		if s, ok := v.(string); ok {
			w.values = append(w.values, s)
		}
	}
	return w, nil
}
