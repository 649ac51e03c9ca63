package store

import (
	"database/sql"
	"errors"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
)

// How a confirmation is stored, with the thumbprint behind it; nothing is stored of a bearer token's.
const (
	boundToKey         = "jkt:"
	boundToCertificate = "x5t:"
	boundOtherwise     = "other"
)

func confirmationText(c gatehouse.Confirmation) string {
	switch {
	case !c.Bound():
		return ""
	case c.Other || c.JKT != "" && c.X5T != "": // by both at once nothing is issued
		return boundOtherwise
	case c.JKT != "":
		return boundToKey + c.JKT
	}
	return boundToCertificate + c.X5T
}

// bound scans a confirmation. One that a later version wrote binds to what nobody can prove.
func bound(c *gatehouse.Confirmation) sql.Scanner { return (*storedConfirmation)(c) }

type storedConfirmation gatehouse.Confirmation

func (c *storedConfirmation) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return errors.New("store: a confirmation is not text")
	}
	key, toKey := strings.CutPrefix(text, boundToKey)
	certificate, toCertificate := strings.CutPrefix(text, boundToCertificate)
	switch {
	case text == "":
		*c = storedConfirmation{}
	case toKey:
		*c = storedConfirmation{JKT: key}
	case toCertificate:
		*c = storedConfirmation{X5T: certificate}
	default:
		*c = storedConfirmation{Other: true}
	}
	return nil
}
