package realms

import (
	"crypto/x509"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/token"
)

var keyID = regexp.MustCompile(`^[A-Za-z0-9]{1,32}$`)

var providerID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// checkProviders checks the providers by whose accounts people sign in.
func checkProviders(f kernel.Faults, at string, list []gatehouse.Provider) {
	if len(list) > 20 {
		f.Add(at, "has more than 20 entries")
		return
	}
	for i, p := range list {
		here := fmt.Sprintf("%s[%d]", at, i)
		if !providerID.MatchString(p.ID) {
			f.Add(here+".id", "must be lower-case letters, digits and '-', at most 32, not beginning with '-'")
		}
		if slices.ContainsFunc(list[:i], func(o gatehouse.Provider) bool { return o.ID == p.ID }) {
			f.Add(here+".id", "is listed twice")
		}
		f.Text(here+".title", p.Title, false)
		known, ok := p.Known()
		if !ok {
			f.Add(here+".preset", "must be one of %s", strings.Join(gatehouse.PresetNames(), ", "))
		}
		switch issuer := p.Filled().Issuer; {
		case issuer == "" && known.Example != "":
			f.Add(here+".issuer", "must be given: %s", known.Example)
		case !issuerForm(issuer, p.AllowPrivateAddress):
			f.Add(here+".issuer", "must be an https URL without query and fragment")
		case known.IssuerForm != nil && !known.IssuerForm.MatchString(issuer):
			f.Add(here+".issuer", "must be %s", known.Example)
		}
		for member, id := range map[string]string{".team_id": p.TeamID, ".key_id": p.KeyID} {
			if known.SignedSecret != keyID.MatchString(id) || !known.SignedSecret && id != "" {
				f.Add(here+member, "goes with a preset whose client secret is signed (apple), and is 1 to 32 letters and digits there")
			}
		}
		f.Text(here+".client_id", p.ClientID, true)
		checkGrants(f, here+".grants", p)
		f.Names(here+".scopes", p.Scopes)
		f.Names(here+".second_factor_by", p.SecondFactorBy)
		for _, name := range p.Algorithms {
			if a, ok := token.ParseAlgorithm(name); !ok || a.Symmetric() {
				f.Add(here+".algorithms", "may hold asymmetric algorithms only")
			}
		}
		if p.CA != "" && (len(p.CA) > 64<<10 || !x509.NewCertPool().AppendCertsFromPEM([]byte(p.CA))) {
			f.Add(here+".ca", "must hold certificates in PEM, at most 64 KiB")
		}
	}
}

// maxGrants bounds what the claims of one provider can give, in entries.
const maxGrants = 100

// checkGrants checks what the claims of a provider give.
func checkGrants(f kernel.Faults, at string, p gatehouse.Provider) {
	if len(p.Grants) > maxGrants {
		f.Add(at, "has more than %d entries", maxGrants)
		return
	}
	if known, _ := p.Known(); len(p.Grants) > 0 && !known.OpenID() {
		f.Add(at, "goes with an OpenID provider: this one tells no claims")
	}
	for i, g := range p.Grants {
		here := fmt.Sprintf("%s[%d]", at, i)
		f.Text(here+".claim", g.Claim, true)
		f.Text(here+".value", g.Value, true)
		if g.Role == "" && g.Group == "" {
			f.Add(here, "needs a role or a group to give")
		}
		if g.Group != "" {
			f.Names(here+".group", []string{g.Group})
		}
		switch builtin := policy.IsBuiltinRole(g.Role); {
		case builtin && !g.Administrative: // another's claims make an administrator only where that was said on purpose
			f.Add(here+".role", "administers Gatehouse: this takes administrative: true beside it")
		case !builtin && g.Administrative:
			f.Add(here+".administrative", "goes with a role that administers Gatehouse")
		}
	}
}

// givesRoles reports whether something of s gives roles or groups to people.
func givesRoles(s RealmSettings) bool {
	return slices.ContainsFunc(s.Providers, func(p gatehouse.Provider) bool { return len(p.Grants) > 0 })
}

// checkRoles checks that the roles exist that providers give. One that was given before may have been deleted since.
func checkRoles(f kernel.Faults, at, realm string, have []policy.Role, list, before []gatehouse.Provider) {
	known := map[string]bool{"": true}
	for _, r := range slices.Concat(have, policy.BuiltinRoles(realm)) {
		known[r.Name] = true
	}
	for _, p := range before {
		for _, g := range p.Grants {
			known[g.Role] = true
		}
	}
	for i, p := range list {
		for j, g := range p.Grants {
			if !known[g.Role] {
				f.Add(fmt.Sprintf("%s[%d].grants[%d].role", at, i, j), "does not exist in this realm")
			}
		}
	}
}
