package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/ast"

	"github.com/gatehouse-auth/gatehouse/internal/sorted"
)

// All is the action or the resource type that stands for every one.
const All = "*"

// hierarchy is the compiled role graph. closure of a role holds the role and
// everything above it, sorted.
type hierarchy struct {
	roles   map[string]Role
	closure map[string][]string
}

// newHierarchy refuses unknown parents, cycles and what is out of bounds. Roles
// with a built-in name are left out: what those may do is decided elsewhere, and
// a realm must not be able to give them more here.
func newHierarchy(roles []Role) (*hierarchy, []Role, Problems) {
	h := &hierarchy{roles: make(map[string]Role, len(roles)), closure: make(map[string][]string, len(roles))}
	var problems Problems
	add := func(r Role, format string, args ...any) {
		if len(problems) < maxProblems {
			problems = append(problems, Problem{Source: "role " + clip(r.Name), Message: fmt.Sprintf(format, args...)})
		}
	}
	if len(roles) > MaxRoles {
		return h, nil, Problems{{Source: "roles", Message: fmt.Sprintf("more than %d roles", MaxRoles)}}
	}
	ordered := make([]Role, 0, len(roles))
	for _, r := range roles {
		if IsBuiltinRole(r.Name) {
			continue
		}
		if _, dup := h.roles[r.Name]; dup {
			add(r, "two roles have this name")
			continue
		}
		h.roles[r.Name] = r
		ordered = append(ordered, r)
	}
	sorted.Slice(ordered, func(a, b Role) int { return strings.Compare(a.Name, b.Name) })
	for _, r := range ordered {
		checkRole(h, r, func(format string, args ...any) { add(r, format, args...) })
	}
	if len(problems) > 0 {
		return h, ordered, problems
	}
	state := make(map[string]int, len(ordered)) // 0 unseen, -1 on the path, n depth
	for _, r := range ordered {
		if cycle := h.close(r.Name, state, 1); cycle != "" {
			add(r, "%s", cycle)
			return h, ordered, problems
		}
	}
	return h, ordered, nil
}

func checkRole(h *hierarchy, r Role, add func(string, ...any)) {
	if !ValidName(r.Name) {
		add("the name may have letters, digits and . _ - only, not begin with . or -, and have at most %d characters", maxNameBytes)
	}
	if len(r.Parents) > MaxRoleParents || len(r.Permissions) > MaxPermissions {
		add("more than %d parents or %d permissions", MaxRoleParents, MaxPermissions)
		return
	}
	for _, p := range r.Parents {
		if IsBuiltinRole(p) {
			add("parent %s is built in and cannot be inherited", clip(p))
		} else if _, ok := h.roles[p]; !ok {
			add("parent %s does not exist", clip(p))
		}
	}
	for i, p := range r.Permissions {
		if len(p.Actions) == 0 || len(p.Actions) > MaxActions {
			add("permission %d needs between 1 and %d actions", i+1, MaxActions)
			continue
		}
		for _, a := range p.Actions {
			if _, err := actionUID(a); err != nil {
				add("permission %d: %v", i+1, err)
			}
		}
		if p.ResourceType != All && !validType(p.ResourceType) {
			add("permission %d: %s is not a resource type", i+1, clip(p.ResourceType))
		}
	}
}

// close computes the closure of name depth first; it returns what is wrong.
func (h *hierarchy) close(name string, state map[string]int, depth int) string {
	switch {
	case state[name] == -1:
		return "the parents form a circle through " + name
	case depth > MaxRoleDepth:
		return fmt.Sprintf("more than %d roles above each other", MaxRoleDepth)
	case state[name] > 0:
		// Known already, but a longer path may lead here now.
		if depth+state[name]-1 > MaxRoleDepth {
			return fmt.Sprintf("more than %d roles above each other", MaxRoleDepth)
		}
		return ""
	}
	state[name] = -1
	all := []string{name}
	height := 1
	for _, p := range h.roles[name].Parents {
		if fault := h.close(p, state, depth+1); fault != "" {
			return fault
		}
		height = max(height, state[p]+1)
		all = append(all, h.closure[p]...)
	}
	slices.Sort(all)
	h.closure[name] = slices.Compact(all)
	state[name] = height
	return ""
}

// rolePolicies makes the Cedar policies of r. They are built as syntax trees:
// no name can break out of its place.
func rolePolicies(r Role) []*compiled {
	out := make([]*compiled, 0, len(r.Permissions))
	for i, p := range r.Permissions {
		pol := ast.Permit().PrincipalIn(cedar.NewEntityUID(typeRole, cedar.String(r.Name)))
		if !slices.Contains(p.Actions, All) {
			uids := make([]cedar.EntityUID, 0, len(p.Actions))
			for _, a := range p.Actions {
				uid, err := actionUID(a)
				if err == nil && !slices.Contains(uids, uid) { // err: refused by checkRole
					uids = append(uids, uid)
				}
			}
			pol = pol.ActionInSet(uids...)
		}
		if p.ResourceType != All {
			pol = pol.ResourceIs(cedar.EntityType(p.ResourceType))
		}
		out = append(out, &compiled{
			id:     cedar.PolicyID(fmt.Sprintf("role:%s#%d", r.Name, i+1)),
			source: "role " + r.Name,
			note:   "role " + r.Name + ": " + strings.Join(p.Actions, ", ") + " on " + p.ResourceType,
			policy: cedar.NewPolicyFromAST(pol),
		})
	}
	return out
}

// AuthorizedRoles returns the roles that somebody to whom assigned are given
// holds: those that exist and everything they inherit, sorted. A name that is
// not a role of the realm grants nothing. (NIST RBAC: AuthorizedRoles)
func (s *Set) AuthorizedRoles(assigned []string) []string {
	if s == nil || s.roles == nil {
		return nil
	}
	var out []string
	for _, name := range assigned {
		out = append(out, s.roles.closure[name]...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
