// Package policy turns roles and policy texts into decisions. Both are compiled
// into one set of Cedar policies ([Compile]), so that "admins may delete" and
// "owners may read their own" are decided, explained and recorded by one
// engine ([Set.Evaluate], [Set.Explain]).
//
// # Rules of a decision
//
// Nothing is allowed unless a permit matches. A matching forbid wins over every
// permit. An error in any policy that is evaluated denies: Cedar itself skips a
// forbid that fails, which would open a door because an attribute is missing.
// A nil or zero [Set] denies.
//
// # Names
//
// Principals are User::"<id>", Service::"<id>", Client::"<id>" and
// Anonymous::"anonymous"; roles are Role::"<name>", groups Group::"<name>",
// actions Action::"<name>". The policies made from a role are called
// "role:<name>#<n>", n being the position of the permission, from 1; those of a
// document "<document>" or "<document>#<n>", or "<document>#<id>" when the
// policy has an @id annotation. @reason (or @description) becomes the note that
// the operator sees.
//
// # Schema
//
// With a schema every policy, those from roles too, must type-check, and what a
// request brings must have the declared types; attributes that the schema does
// not know are ignored by the policies and do no harm. The schema has to declare
// the principal types, Role and Group as they are named above.
//
// # Threats
//
// Whoever writes policies of a realm is trusted with that realm only: texts are
// bounded in size, nesting and work before they are parsed, and role names and
// actions become syntax trees, never text, so they cannot inject policy. Values
// from requests are bounded in size and depth before they are converted. The
// policies that guard Gatehouse's own administration are a [Set] of their own
// ([Administration]) which nothing in a realm can change.
//
// The package must never import net/http, database/sql, os, or a clock.
package policy
