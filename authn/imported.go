package authn

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// importedID is under what an imported key is kept in memory: it has no id in its text.
func importedID(realm string, hash []byte) string {
	return "sha256:" + hex.EncodeToString(hash) + " " + realm
}

// HasImported reports whether realm has keys that another system made, so that a text of
// no form of ours may be one. When nobody can tell, it may.
func (a *Authenticator) HasImported(ctx context.Context, realm string) bool {
	has, err := a.imports.get(ctx, realm, a.cfg.Store.HasImportedKeys)
	return has || err != nil
}

func (a *Authenticator) loadImported(realm, text string) func(context.Context, string) (*keyEntry, error) {
	return func(ctx context.Context, _ string) (*keyEntry, error) {
		k, err := a.cfg.Store.ImportedKey(ctx, realm, credential.HashKey(text))
		if err != nil {
			return nil, err
		}
		return a.entryOf(ctx, k)
	}
}

// applyKey drops a key that changed.
func (a *Authenticator) applyKey(c gatehouse.Change) {
	a.keys.drop(c.ID)
	k, known := c.Value.(credential.Key)
	switch {
	case !known: // nobody says which it was
		a.keys.drop("")
		a.imports.drop("")
	case k.Imported:
		a.keys.drop(importedID(k.Realm, k.Hash))
		a.imports.drop(k.Realm)
	}
}

// classify is [classifyKey], for a route whose realm may have imported keys too.
func (rd *Reader) classify(value string) (Presented, error) {
	p, err := classifyKey(value)
	if err != nil && p.Scheme == gatehouse.SchemeNone && p.ID == "" && rd.takesImported(value) {
		return importedKey(value), nil
	}
	return p, err
}

func (rd *Reader) takesImported(value string) bool {
	return rd.imported != nil && credential.ImportableKey(value) && !isOurs(value) && rd.imported()
}

func importedKey(text string) Presented {
	return Presented{Scheme: gatehouse.SchemeAPIKey, Secret: gatehouse.Secret(text)}
}

// joseHeader reports whether the first part of a text in the form of a JWT is base64url
// of what can be a JSON object (RFC 7515 §4). Where it is not, the text is no token of
// anybody, and may be a key in three parts.
func joseHeader(text string) bool {
	if strings.HasPrefix(text, "ey") { // of "{" and a quotation mark or space
		return true
	}
	part, _, _ := strings.Cut(text, ".")
	header, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && strings.HasPrefix(strings.TrimLeft(string(header), " \t\r\n"), "{")
}
