package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/nearest"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

// realmReader reads what a realm has that routes can name.
type realmReader interface {
	Realms(ctx context.Context) ([]gatehouse.Realm, error)
	Roles(ctx context.Context, realm string) ([]policy.Role, error)
}

// unknownName is a realm, role or scope that a route names and that is nowhere.
type unknownName struct {
	config.Problem
	// sure: others of its kind were made already, so this one is a mistake rather than
	// one that is still to be made.
	sure bool
}

// unknownNames finds what routes name and the database does not have. Nobody can have
// such a role or scope, so nobody can call the route: a mistake of spelling locks out
// and lets nobody in, but who reads the routes takes it for a rule that works.
func unknownNames(ctx context.Context, db realmReader, routes []enforce.Route) ([]unknownName, error) {
	realms, err := db.Realms(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string]*realmNames{}
	for _, r := range realms {
		roles, err := db.Roles(ctx, r.Name)
		if err != nil {
			return nil, err
		}
		names := &realmNames{roles: kindOfName{what: "role", sure: len(roles) > 0}, scopes: kindOfName{what: "scope", sure: len(r.Settings.Scopes) > 0}}
		for _, role := range append(roles, policy.BuiltinRoles(r.Name)...) {
			names.roles.names = append(names.roles.names, role.Name)
		}
		names.scopes.names = slices.Sorted(maps.Keys(r.Settings.Scopes))
		known[r.Name] = names
	}
	if len(known) == 0 {
		return nil, nil // no server ever started here
	}
	var out []unknownName
	for i := range routes {
		r := &routes[i]
		if r.Closed {
			continue
		}
		at := fmt.Sprintf("routes[%d]", i)
		names := known[r.Realm]
		if names == nil {
			other := kindOfName{what: "realm", names: slices.Sorted(maps.Keys(known)), sure: len(known) > 1}
			out = append(out, other.unknown(at+".realm", "", r.Realm))
			continue
		}
		out = append(out, names.roles.missing(at+".roles", r.Realm, r.Roles)...)
		out = append(out, names.scopes.missing(at+".scopes", r.Realm, r.Scopes)...)
		for j, way := range r.AnyOf {
			out = append(out, names.scopes.missing(fmt.Sprintf("%s.any_of[%d].scopes", at, j), r.Realm, way.Scopes)...)
		}
	}
	return out, nil
}

// realmNames are what routes can name of a realm.
type realmNames struct{ roles, scopes kindOfName }

type kindOfName struct {
	what  string
	names []string
	sure  bool // somebody made some
}

// missing are those of a list that there are none of.
func (k kindOfName) missing(at, realm string, list []string) (out []unknownName) {
	for i, name := range list {
		if !slices.Contains(k.names, name) {
			out = append(out, k.unknown(fmt.Sprintf("%s[%d]", at, i), realm, name))
		}
	}
	return out
}

func (k kindOfName) unknown(at, realm, name string) unknownName {
	text := fmt.Sprintf("there is no %s %q", k.what, name)
	if realm != "" {
		text = fmt.Sprintf("realm %s has no %s %q", realm, k.what, name)
	}
	if near := nearest.Name(name, k.names); near != "" {
		text += "; did you mean " + near + "?"
	}
	return unknownName{config.Problem{Key: at, Err: errors.New(text)}, k.sure}
}

// maxNamesTold bounds the lines of the log about names that do not exist.
const maxNamesTold = 20

// warnOfNames tells the operator's log which names of routes do not exist. The server
// runs all the same: what is named may be made in a moment, and then counts at once.
func (s *Server) warnOfNames(ctx context.Context, routes []enforce.Route) {
	unknown, err := unknownNames(ctx, s.db, routes)
	if err != nil {
		s.log.Warn("whether the roles and scopes of routes exist is not known", "error", err)
		return
	}
	for i, u := range unknown {
		if i == maxNamesTold {
			s.log.Warn("more names of routes do not exist; `gatehouse config check` tells all", "more", len(unknown)-i)
			return
		}
		s.log.Warn("a route names what does not exist, so nobody can call it", "at", u.Key, "problem", u.Err.Error())
	}
}
