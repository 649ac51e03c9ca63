package testbrowser

import (
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// Authenticator is a security key that is made up, built into the computer, which knows its owner and keeps passkeys
// (CTAP 2.1). Its signatures are real.
type Authenticator struct {
	p  *Page
	id webauthn.AuthenticatorID
}

// Authenticator gives the page a key, and takes away any other that the computer has.
func (p *Page) Authenticator() *Authenticator {
	p.t.Helper()
	call(p, webauthn.Enable, webauthn.EnableParams{})
	added := call(p, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true}})
	return &Authenticator{p, added.AuthenticatorID}
}

// Recognise says whether the key knows its owner from now on, by a finger or a PIN.
func (a *Authenticator) Recognise(owner bool) {
	a.p.t.Helper()
	call(a.p, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: a.id, IsUserVerified: owner})
}

// Credentials are what the key holds.
func (a *Authenticator) Credentials() []*webauthn.Credential {
	a.p.t.Helper()
	return call(a.p, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: a.id}).Credentials
}

// Add puts a credential into the key, such as a copy of another one.
func (a *Authenticator) Add(c *webauthn.Credential) {
	a.p.t.Helper()
	call(a.p, addCredential, addCredentialParams{a.id, credential{c.CredentialID, c.IsResidentCredential, c.RpID, c.PrivateKey, c.UserHandle, c.SignCount}})
}

// addCredential is [webauthn.AddCredential] with the members that every browser knows: that one of cdproto 0.159 always says
// generateCmtgKeyOnNextOperation, which Chromium refuses of a key that cannot do that, even when it is false.
var addCredential = cdp.Command[addCredentialParams, cdp.Empty]{Method: webauthn.CommandAddCredential}

type addCredentialParams struct {
	AuthenticatorID webauthn.AuthenticatorID `json:"authenticatorId"`
	Credential      credential               `json:"credential"`
}

type credential struct {
	CredentialID         []byte  `json:"credentialId"`
	IsResidentCredential bool    `json:"isResidentCredential"`
	RpID                 string  `json:"rpId"`
	PrivateKey           []byte  `json:"privateKey"`
	UserHandle           []byte  `json:"userHandle,omitempty"`
	SignCount            float64 `json:"signCount"`
}

// Lose takes the key away, with all that it holds.
func (a *Authenticator) Lose() {
	a.p.t.Helper()
	call(a.p, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: a.id})
}

// call has the browser do something that is no matter of the page.
func call[P, R any](p *Page, command cdp.Command[P, R], params P) R {
	p.t.Helper()
	out, err := chromedp.Call(p.ctx, command, params)
	if err != nil {
		p.t.Fatalf("%s: %v", command.Method, err)
	}
	return out
}
