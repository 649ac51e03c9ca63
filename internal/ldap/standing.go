package ldap

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// MaxMembers is how many people [Directory.Standing] is asked about at once.
const MaxMembers = 50

// What directories say of an account that was ended, other than by removing it.
const (
	attrControl = "userAccountControl"   // Active Directory: accountDisabled is a bit of it
	attrExpires = "accountExpires"       // Active Directory: ticks of 100 ns since 1601; 0 and the greatest number are never
	attrLocked  = "pwdAccountLockedTime" // OpenLDAP: forever is an administrator's lock, others are of failed attempts
	attrLock    = "nsAccountLock"        // 389 Directory Server, FreeIPA

	accountDisabled = 0x2
	forever         = "000001010000Z"
)

func standingAttributes() []string { return []string{attrControl, attrExpires, attrLocked, attrLock} }

// Member is a person who was let in before.
type Member struct {
	ID       string // as in [Entry]
	Username string
}

// Standing returns of each ID whether its entry is there, is found by the filter under the name that
// it had, and is not disabled. An error is that the directory gave no answer, of nobody.
func (d *Directory) Standing(ctx context.Context, members []Member) (map[string]bool, error) {
	if len(members) > MaxMembers {
		return nil, fmt.Errorf("%d members asked about at once", len(members))
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	in := map[string]bool{}
	err := d.with(ctx, func(c *conn) error {
		var filter strings.Builder
		filter.WriteString("(|")
		for _, m := range members {
			fmt.Fprintf(&filter, "(&%s%s)", d.byID(m.ID), fill(d.cfg.Filter, m.Username, ""))
		}
		filter.WriteString(")")
		list, err := d.search(c, d.cfg.Base, filter.String(), 2*MaxMembers, append(d.idAttributes(), standingAttributes()...))
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, e := range list {
			id := d.id(e)
			out, err := disabled(e, time.Now())
			if err != nil {
				return err
			}
			in[id] = !out && !seen[id]
			seen[id] = true
		}
		return nil
	})
	d.tell(err)
	if err != nil {
		return nil, err
	}
	return in, nil
}

// disabled reports whether the directory says that the account has ended, whatever its password.
func disabled(e *ldap.Entry, now time.Time) (bool, error) {
	number := func(name string) (int64, error) {
		text := e.GetEqualFoldAttributeValue(name)
		if text == "" {
			return 0, nil
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s is no number", name)
		}
		return n, nil
	}
	flags, err := number(attrControl)
	if err != nil {
		return false, err
	}
	expires, err := number(attrExpires)
	if err != nil {
		return false, err
	}
	return flags&accountDisabled != 0 || expires > 0 && !now.Before(filetime(expires)) ||
		e.GetEqualFoldAttributeValue(attrLocked) == forever || strings.EqualFold(e.GetEqualFoldAttributeValue(attrLock), "TRUE"), nil
}

// filetime is Active Directory's count of a tenth of a microsecond since 1601.
func filetime(n int64) time.Time {
	const since1601 = 11644473600 // seconds to 1970
	return time.Unix(n/1e7-since1601, n%1e7*100).UTC()
}

// idAttributes are those that may have what stands for an entry.
func (d *Directory) idAttributes() []string {
	if d.cfg.IDAttribute != "" {
		return []string{d.cfg.IDAttribute}
	}
	return []string{attrUUID, attrGUID}
}

// id is what stands for an entry; "" when the directory does not tell.
func (d *Directory) id(e *ldap.Entry) string {
	for _, name := range d.idAttributes() {
		raw := e.GetEqualFoldRawAttributeValue(name)
		switch {
		case len(raw) == 0:
			continue
		case strings.EqualFold(name, attrGUID):
			return hex.EncodeToString(raw) // sixteen bytes, and no text
		}
		return string(raw)
	}
	return ""
}

// byID is the filter that finds the entry for which id stands.
func (d *Directory) byID(id string) string {
	var out strings.Builder
	out.WriteString("(|")
	for _, name := range d.idAttributes() {
		value := id
		if strings.EqualFold(name, attrGUID) {
			if raw, err := hex.DecodeString(id); err == nil { // else it is of another attribute
				value = string(raw)
			}
		}
		fmt.Fprintf(&out, "(%s=%s)", name, ldap.EscapeFilter(value))
	}
	return out.String() + ")"
}
