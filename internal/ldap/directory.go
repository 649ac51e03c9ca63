package ldap

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const (
	// maxGroups is how many groups a search may find; more refuse the person, for nobody knows
	// what the others would forbid.
	maxGroups = 1000
	// maxID bounds what stands for an entry, in bytes.
	maxID = 128
)

// What stands for an entry where the configuration names nothing, and what changes when the password does.
const (
	attrReset    = "pwdReset"
	attrChanged  = "pwdChangedTime"
	attrLastSet  = "pwdLastSet"
	attrUUID     = "entryUUID"
	attrGUID     = "objectGUID"
	noAttributes = "1.1"
)

// Reason is why somebody is refused.
type Reason string

// The reasons.
const (
	ReasonUnknown   Reason = "directory_unknown"   // no entry
	ReasonAmbiguous Reason = "directory_ambiguous" // more than one
	ReasonRefused   Reason = "directory_refused"   // the bind: wrong, locked, expired, disabled
	ReasonDisabled  Reason = "directory_disabled"  // right, and the entry says that it is disabled
	ReasonMustReset Reason = "directory_must_reset"
	// ReasonOtherName: somebody was found by a name that is not the person's username, such as an
	// address or another spelling. Each name has failed attempts of its own, so one account must not
	// have many: the password is not tried.
	ReasonOtherName Reason = "directory_other_name"
	ReasonEmpty     Reason = "directory_empty_password"
)

// Refusal is the directory's word that this is nobody's password, or of nobody who may
// come in. Any other error is that nobody knows.
type Refusal struct {
	Reason Reason
	// Said is the directory's own text, for the operator.
	Said string
}

func (r *Refusal) Error() string { return string(r.Reason) }

// Entry is a person of the directory.
type Entry struct {
	DN string
	// ID stays with the person whatever the DN becomes.
	ID          string
	Username    string // the value of the attribute that is what was typed
	DisplayName string
	Email       string
	Groups      []string // their DNs
	// PasswordAt is when the password was set, where the directory tells; else zero.
	PasswordAt time.Time
}

// Directory asks one directory. It is safe for concurrent use.
type Directory struct {
	cfg     Config
	server  server
	slots   chan struct{}
	idle    chan *conn
	waiting atomic.Int32
	// failedAt is when it could not be asked, in Unix nanoseconds; 0 since it was.
	failedAt atomic.Int64
	chains   atomic.Bool // it is known to follow inChain

	answers, silences atomic.Int64
}

// New returns a Directory, or an error that says what is wrong with cfg. It connects to
// nothing yet.
func New(cfg Config) (*Directory, error) {
	var wrong error
	cfg.Validate(func(key string, err error) { wrong = errors.Join(wrong, fmt.Errorf("%s: %w", key, err)) })
	if wrong != nil {
		return nil, wrong
	}
	if cfg.Password == nil || cfg.Same == nil || cfg.Timeout <= 0 || cfg.UsernameAttribute == "" {
		return nil, errors.New("ldap: password, comparison of names, time-out and the attribute of usernames are required")
	}
	s, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	return &Directory{cfg: cfg, server: s, slots: make(chan struct{}, maxConnections), idle: make(chan *conn, maxConnections)}, nil
}

// Address is the directory's, for messages: "host:port".
func (d *Directory) Address() string { return d.server.address }

// Close ends the connections that nobody uses.
func (d *Directory) Close() {
	for {
		select {
		case c := <-d.idle:
			_ = c.Close()
		default:
			return
		}
	}
}

// Authenticate returns the person of a username whose password this is. A [*Refusal] is
// that there is none; any other error, that the directory gave no answer.
func (d *Directory) Authenticate(ctx context.Context, username, password string) (Entry, error) {
	// RFC 4513 §5.1.2: a bind with a name and no password is anonymous, and succeeds.
	if password == "" {
		return Entry{}, &Refusal{Reason: ReasonEmpty}
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	var e Entry
	err := d.with(ctx, func(c *conn) (err error) {
		found, err := d.find(c, username)
		var refused *Refusal
		if errors.As(err, &refused) {
			// Whoever guesses names must not learn by the time of an answer which have an entry.
			_ = c.Bind("cn="+rand.Text()+","+d.cfg.Base, rand.Text())
			return err
		}
		if err != nil {
			return err
		}
		if e, err = d.entry(found, username); err != nil {
			return err
		}
		if err := bindAs(c, found.DN, password); err != nil {
			return err
		}
		if disabled, err := disabled(found, time.Now()); err != nil {
			return err
		} else if disabled {
			return &Refusal{Reason: ReasonDisabled}
		}
		// With OpenLDAP's password policy the bind succeeds, and all that may follow is a new password.
		if strings.EqualFold(found.GetEqualFoldAttributeValue(attrReset), "TRUE") {
			return &Refusal{Reason: ReasonMustReset}
		}
		if d.cfg.GroupFilter != "" {
			more, err := d.groups(c, username, found.DN)
			if err != nil {
				return err
			}
			e.Groups = append(e.Groups, more...)
		}
		return nil
	})
	d.tell(err)
	if err != nil {
		return Entry{}, err
	}
	return e, nil
}

// tell counts an answer, or that there was none.
func (d *Directory) tell(err error) {
	if answered(err) {
		d.answers.Add(1)
	} else {
		d.silences.Add(1)
	}
}

// Answered counts the questions that the directory answered, yes or no.
func (d *Directory) Answered() int64 { return d.answers.Load() }

// Unanswered counts the questions that it gave no answer to.
func (d *Directory) Unanswered() int64 { return d.silences.Load() }

// find returns the one entry of a username.
func (d *Directory) find(c *conn, username string) (*ldap.Entry, error) {
	attributes := append([]string{d.cfg.UsernameAttribute, attrReset, attrChanged, attrLastSet}, standingAttributes()...)
	attributes = append(attributes, d.idAttributes()...)
	for _, name := range []string{d.cfg.NameAttribute, d.cfg.EmailAttribute, d.cfg.GroupAttribute} {
		if name != "" {
			attributes = append(attributes, name)
		}
	}
	// Two are enough to know that it is not one.
	list, err := d.search(c, d.cfg.Base, fill(d.cfg.Filter, username, ""), 2, attributes)
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded), err == nil && len(list) > 1:
		return nil, &Refusal{Reason: ReasonAmbiguous}
	case err != nil:
		return nil, err
	case len(list) == 0:
		return nil, &Refusal{Reason: ReasonUnknown}
	case !slices.ContainsFunc(list[0].GetEqualFoldAttributeValues(d.cfg.UsernameAttribute), func(v string) bool { return d.cfg.Same(username, v) }):
		return nil, &Refusal{Reason: ReasonOtherName}
	case list[0].DN == "":
		return nil, errors.New("the directory's entry has no name") // to bind with it would be anonymous
	}
	return list[0], nil
}

// search returns entries below base. What the directory refers to elsewhere is left out.
func (d *Directory) search(c *conn, base, filter string, limit int, attributes []string) ([]*ldap.Entry, error) {
	seconds := max(1, int(d.cfg.Timeout/time.Second))
	r, err := c.Search(ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, limit, seconds, false, filter, attributes, nil))
	if err != nil {
		return nil, err
	}
	return r.Entries, nil
}

// bindAs asks the directory whether a password is that of an entry.
func bindAs(c *conn, dn, password string) error {
	err := c.Bind(dn, password)
	var e *ldap.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.ResultCode {
	case ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultUnwillingToPerform,
		ldap.LDAPResultConstraintViolation, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInsufficientAccessRights:
		return &Refusal{Reason: ReasonRefused, Said: e.Err.Error()}
	}
	return err
}

func (d *Directory) entry(found *ldap.Entry, username string) (Entry, error) {
	e := Entry{DN: found.DN, PasswordAt: changed(found)}
	names := found.GetEqualFoldAttributeValues(d.cfg.UsernameAttribute)
	if i := slices.IndexFunc(names, func(v string) bool { return d.cfg.Same(username, v) }); i >= 0 {
		e.Username = names[i]
	}
	if d.cfg.NameAttribute != "" {
		e.DisplayName = found.GetEqualFoldAttributeValue(d.cfg.NameAttribute)
	}
	if d.cfg.EmailAttribute != "" {
		e.Email = found.GetEqualFoldAttributeValue(d.cfg.EmailAttribute)
	}
	if d.cfg.GroupAttribute != "" {
		e.Groups = found.GetEqualFoldAttributeValues(d.cfg.GroupAttribute)
	}
	e.ID = d.id(found)
	if e.ID == "" || len(e.ID) > maxID {
		return Entry{}, fmt.Errorf("the directory tells no %s of the entry", orElse(d.cfg.IDAttribute, attrUUID+" or "+attrGUID))
	}
	return e, nil
}

// groups are the DNs of the groups that a search finds. The connection is bound as the
// person by now, who may see others, or none.
func (d *Directory) groups(c *conn, username, dn string) ([]string, error) {
	if err := d.bind(c); err != nil {
		return nil, err
	}
	if strings.Contains(d.cfg.GroupFilter, inChain) && !d.chains.Load() {
		root, err := c.Search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)", []string{"supportedCapabilities"}, nil))
		if err != nil {
			return nil, err
		}
		if len(root.Entries) != 1 || !slices.Contains(root.Entries[0].GetEqualFoldAttributeValues("supportedCapabilities"), activeDirectory) {
			return nil, errors.New("group_filter has a rule that only Active Directory follows, and this is another directory: it would find no group")
		}
		d.chains.Store(true)
	}
	list, err := d.search(c, orElse(d.cfg.GroupBase, d.cfg.Base), fill(d.cfg.GroupFilter, username, dn), maxGroups, []string{noAttributes})
	if err != nil {
		return nil, fmt.Errorf("groups: %w", err)
	}
	out := make([]string, len(list))
	for i, g := range list {
		out[i] = g.DN
	}
	return out, nil
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// changed is when a password was set, as OpenLDAP tells it, or Active Directory.
func changed(e *ldap.Entry) time.Time {
	if text := e.GetEqualFoldAttributeValue(attrChanged); text != "" {
		if t, err := time.Parse("20060102150405Z", text); err == nil {
			return t
		}
	}
	if n, err := strconv.ParseInt(e.GetEqualFoldAttributeValue(attrLastSet), 10, 64); err == nil && n > 0 {
		return filetime(n)
	}
	return time.Time{}
}

// SameDN reports whether two names are of one entry: case and blanks do not count, as far as ASCII
// goes. Directories differ beyond it, and a role must not go to whoever can make a group of another name
// that is folded to this one.
func SameDN(a, b string) bool {
	x, err := ldap.ParseDN(lower(a))
	y, err2 := ldap.ParseDN(lower(b))
	return err == nil && err2 == nil && x.Equal(y)
}

func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}
