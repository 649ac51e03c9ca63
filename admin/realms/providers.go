package realms

import (
	"crypto/x509"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
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
