// Package ldap asks an LDAP directory, such as Active Directory or OpenLDAP, whether a
// password is that of a person, who the person is, and who of many is gone.
//
// It only reads. A question has four steps on one connection: bind as the account of the
// configuration, search for exactly one entry, bind as that entry with the password, and,
// where groups are found by a search, bind as the account again and look for them.
//
// # Threats
//
// What is typed into a filter (escaped); a bind without a password, which a directory takes
// for anonymous and answers with success (refused before it is sent); a password that
// crosses the network in the clear (TLS always, verified always); referrals, which lead to
// servers that nobody configured (not followed); answers without end (bounded in bytes,
// entries and time); a directory that hangs (bounded connections and callers that wait);
// names that can be told apart by the steps taken for them (a name without an entry is bound
// as an entry that does not exist).
package ldap
