package provider

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/identity"
)

// given are the roles and groups that a provider's claims give, by its settings.
func given(p gatehouse.Provider, c *said) (roles, groups []string) {
	for _, g := range p.Grants {
		switch {
		case !slices.Contains(authn.ClaimTexts(c.claim, g.Claim), g.Value):
			continue
		case gatehouse.IsBuiltinRole(g.Role) && !g.Administrative: // the settings are checked; this is the last to see it
			continue
		}
		if g.Role != "" && !slices.Contains(roles, g.Role) {
			roles = append(roles, g.Role)
		}
		if g.Group != "" && !slices.Contains(groups, g.Group) {
			groups = append(groups, g.Group)
		}
	}
	return roles, groups
}

// give has u have these roles and groups by l, and not those any more that it had by l before. What it has by other
// ways stays. It returns l with what it gives now.
func (s *Service) give(ctx context.Context, tx Tx, u identity.User, l Link, roles, groups []string) (Link, error) {
	before := u
	u.Roles, l.Roles = exchanged(u.Roles, l.Roles, roles)
	u.Groups, l.Groups = exchanged(u.Groups, l.Groups, groups)
	newRoles, newGroups := !slices.Equal(u.Roles, slices.Sorted(slices.Values(before.Roles))), !slices.Equal(u.Groups, slices.Sorted(slices.Values(before.Groups)))
	if !newRoles && !newGroups {
		return l, nil
	}
	u.UpdatedAt = s.c.Now()
	if err := identity.ValidateUser(&u); err != nil {
		return l, ErrRefused.With(errors.New("no account can have what the claims give"))
	}
	e := event(ctx, l, u.Username, u.UpdatedAt, audit.KindUserUpdate)
	e.Reason = "provider"
	if newRoles {
		e.Detail["roles"] = strings.Join(u.Roles, " ")
	}
	if newGroups {
		e.Detail["groups"] = strings.Join(u.Groups, " ")
	}
	if err := tx.UpdateUser(ctx, u); err != nil {
		return l, err
	}
	return l, tx.AppendEvents(ctx, e)
}

// exchanged are the names that somebody has, sorted, when of those in by, which came by a link, only what gives has stays, and the
// rest of gives comes; and those that he has by the link then. What he has by another way he does not have by the link.
func exchanged(has, by, gives []string) (now, byNow []string) {
	for _, name := range has {
		if !slices.Contains(by, name) || slices.Contains(gives, name) {
			now = append(now, name)
		}
	}
	for _, name := range gives {
		if !slices.Contains(has, name) {
			now = append(now, name)
		}
		if !slices.Contains(has, name) || slices.Contains(by, name) {
			byNow = append(byNow, name)
		}
	}
	slices.Sort(now)
	slices.Sort(byNow)
	return now, byNow
}
