package authn

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// importedPrefix begins no id of a key in our own form.
const importedPrefix = "sha256:"

// importedID is under what an imported key is kept in memory: it has no id in its text.
func importedID(realm string, hash []byte) string {
	return importedPrefix + hex.EncodeToString(hash) + " " + realm
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

// isImportedID reports whether importedID made id for a key of realm, or of any realm
// where that is "".
func isImportedID(id, realm string) bool {
	return strings.HasPrefix(id, importedPrefix) && (realm == "" || strings.HasSuffix(id, " "+realm))
}

// applyKey drops a key that changed. A change without its record is one whose outcome
// the store does not know, and then each key that it can be about is read again, and no
// other: a database that has just broken off must not be asked for all keys at once.
func (a *Authenticator) applyKey(c gatehouse.Change) {
	k, known := c.Value.(credential.Key)
	switch {
	case c.ID == "": // any key
		a.keys.drop("")
		a.imports.drop("")
		return
	case known && k.Imported:
		a.keys.drop(importedID(k.Realm, k.Hash))
		a.imports.drop(k.Realm)
	case !known: // it may be an imported one, which its id does not find
		a.keys.dropWhere(func(id string) bool { return isImportedID(id, c.Realm) })
		a.imports.drop(c.Realm)
	}
	a.keys.drop(c.ID)
}

// classify is [classifyKey], for a route whose realm may have imported keys too.
func (rd *Reader) classify(value string) (Presented, error) {
	p, err := classifyKey(value)
	if p.None() && rd.takesImported(value) {
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
